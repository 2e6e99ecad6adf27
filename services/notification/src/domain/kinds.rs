//! Closed lists of names, as they stand in the API and in the database.

/// Declares a list of names: the enum, its texts and its parser.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident of $field:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the API and in the database.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Parses a name; the error lists all of them.
            pub fn parse(text: &str) -> Result<Self, agora_vocab::Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(agora_vocab::Invalid::new($field, concat!("must be one of" $(, " ", $text)+))),
                }
            }
        }
    };
}
pub(super) use names;

names! {
    /// The type of a notification.
    Kind of "type" {
        /// The account and its security.
        UserUpdate = "USER_UPDATE",
        OrderUpdate = "ORDER_UPDATE",
        Promotion = "PROMOTION",
        /// Any other message.
        Email = "EMAIL",
        Recommendation = "RECOMMENDATION",
    }
}

names! {
    /// Which of the two queues a mail waits in.
    Priority of "priority" {
        /// Orders, payments and security: never limited.
        Critical = "critical",
        /// Everything else: limited per recipient and for all.
        Standard = "standard",
    }
}

names! {
    /// What became of the mail of a notification.
    MailState of "mail" {
        Pending = "pending",
        Sent = "sent",
        /// The shop has no mail server.
        Suppressed = "suppressed",
        /// Its user does not want such mails.
        OptedOut = "opted_out",
        /// It would have come too late.
        Expired = "expired",
        /// Given up after its last attempt; a dead letter.
        Failed = "failed",
    }
}

names! {
    /// A template of mails.
    Template of "template" {
        UserUpdate = "userUpdate",
        OrderUpdate = "orderUpdate",
        Promotion = "promotion",
        Generic = "generic",
        Recommendation = "recommendation",
        PriceChange = "priceChange",
    }
}

impl Kind {
    /// The type in words: the subject of a notification without one.
    pub const fn title(self) -> &'static str {
        match self {
            Self::UserUpdate => "Your account",
            Self::OrderUpdate => "Your order",
            Self::Promotion => "An offer for you",
            Self::Email => "A message for you",
            Self::Recommendation => "Recommended for you",
        }
    }
}
