//! The types of the schema. Each is read from the body of a service, with fields of the same names; those with other names,
//! and those that ask another service, have a function.

pub mod accounts;
pub mod carts;
pub mod catalog;
pub mod notifications;
pub mod orders;
pub mod payments;
pub mod search;

/// Pages of lists.
macro_rules! pages {
    ($($name:ident of $item:ty;)*) => {$(
        /// A page of a list.
        #[derive(Clone, serde::Deserialize, async_graphql::SimpleObject)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            pub items: Vec<$item>,
            /// How many items all pages hold together, where that is cheap to know.
            #[serde(default)]
            pub total: Option<crate::graphql::scalars::Long>,
            /// Value of the argument `cursor` for the next page; null on the last one.
            #[serde(default)]
            pub next_cursor: Option<String>,
        }
    )*};
}
pub(crate) use pages;
