//! Feature flags: parts of the shop that can be turned off while it runs.

use std::{fmt, str::FromStr};

use crate::Invalid;

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $default:literal;)*) => {
        /// A part of the shop that can be turned off while it runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flag {
            $($(#[$doc])* $name,)*
        }

        impl Flag {
            /// All flags, in the order of their declarations.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The flag's name in settings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Whether the part is on where nobody has decided.
            pub const fn is_on_by_default(self) -> bool {
                match self {
                    $(Self::$name => $default,)*
                }
            }
        }
    };
}

flags! {
    /// New orders are taken. While it is off, placing one is refused with 503; orders that exist go on.
    TakeOrders = "takeOrders", true;
    /// Promotions start by schedule.
    StartPromotions = "startPromotions", true;
    /// Mails that users can opt out of are sent. While it is off, they wait in the queue.
    SendStandardMails = "sendStandardMails", true;
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Flag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.iter().copied().find(|flag| flag.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|flag| flag.as_str()).collect();
            Invalid::new("flag", format!("must be one of {}", names.join(", ")))
        })
    }
}
