//! Declarations of routes. A service makes its routers of them, the gateway its table of forwarded routes; a route without
//! a policy does not compile.

use std::fmt;

use agora_vocab::Role;

/// Largest body of a request, in bytes, unless its route declares another limit.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Largest body of a route that callers without a token reach, in bytes: credentials, or a hundred ids.
pub const OPEN_BODY_BYTES_MAX: usize = 8 << 10;

/// Largest body that describes a product, in bytes.
pub const PRODUCT_BODY_BYTES_MAX: usize = 128 << 10;

/// Largest body that imports products, in bytes.
pub const IMPORT_BODY_BYTES_MAX: usize = 64 << 20;

/// Largest body that is read to its end before a route is called, in bytes. Larger ones are read as they arrive.
pub const WHOLE_BODY_BYTES_MAX: usize = 1 << 20;

/// Largest message of a payment provider, in bytes.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 64 << 10;

/// A route of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method; a `GET` route also serves `HEAD`.
    pub method: Method,
    /// Its whole path, with parameters in braces: `/api/v1/orders/{id}`.
    pub path: &'static str,
    /// Requirements on the caller.
    pub policy: Policy,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: usize,
}

/// Method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `GET`, and `HEAD`.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// Roles that may read the orders of all users.
pub const ORDER_READERS: &[Role] = &[Role::Support, Role::Warehouse, Role::Finance];

/// Roles that may read the payments of all users.
pub const PAYMENT_READERS: &[Role] = &[Role::Support, Role::Finance];

/// Requirements of a route on its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// None. A token is not read: a client whose token has expired must be able to get another one.
    Open,
    /// A token may be absent or expired, which are the same, but not forged.
    Optional,
    /// A valid access token.
    User,
    /// A valid access token that grants one of the roles. That of an admin grants each.
    Role(&'static [Role]),
    /// A valid internal token of one of these services, which the topology lists as callers.
    Service(&'static [&'static str]),
}

impl Policy {
    /// A valid access token of an admin.
    pub const ADMIN: Self = Self::Role(&[Role::Admin]);
    /// Of an admin, or of those who keep what is sold.
    pub const CATALOG: Self = Self::Role(&[Role::Catalog]);
    /// Of an admin, or of those who keep the stock and send it.
    pub const WAREHOUSE: Self = Self::Role(&[Role::Warehouse]);
    /// Of an admin, or of those who help shoppers.
    pub const SUPPORT: Self = Self::Role(&[Role::Support]);
    /// Of an admin, or of those who move money.
    pub const FINANCE: Self = Self::Role(&[Role::Finance]);
    /// Of an admin, or of those who have to see the orders of all users.
    pub const ORDERS: Self = Self::Role(ORDER_READERS);
    /// Of an admin, or of those who have to see the payments of all users.
    pub const PAYMENTS: Self = Self::Role(PAYMENT_READERS);
}

impl Route {
    /// A route with the default limit of the body: [`OPEN_BODY_BYTES_MAX`] where no token is required, else
    /// [`BODY_BYTES_MAX`].
    pub const fn new(method: Method, path: &'static str, policy: Policy) -> Self {
        let body_bytes_max = match policy {
            Policy::Open | Policy::Optional => OPEN_BODY_BYTES_MAX,
            Policy::User | Policy::Role(_) | Policy::Service(_) => BODY_BYTES_MAX,
        };
        Self { method, path, policy, body_bytes_max }
    }

    /// The same route with another largest body, in bytes.
    #[must_use]
    pub const fn with_body_max(self, body_bytes_max: usize) -> Self {
        Self { body_bytes_max, ..self }
    }

    /// Whether the body is read as it arrives, because it may be too large for the memory of a process.
    pub const fn is_streamed(&self) -> bool {
        self.body_bytes_max > WHOLE_BODY_BYTES_MAX
    }

    /// The path with values in place of its parameters, in their order. A parameter without a value stays.
    pub fn path_of<const N: usize>(&self, values: [&dyn fmt::Display; N]) -> String {
        let mut values = values.into_iter();
        let mut path = String::new();
        for segment in self.path.split('/').skip(1) {
            let value = if segment.starts_with('{') { values.next() } else { None };
            path.push('/');
            path.push_str(&value.map_or_else(|| segment.to_owned(), ToString::to_string));
        }
        path
    }
}

impl Method {
    /// The name in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method whose route serves a request with the method `name`.
    pub fn serving(name: &str) -> Option<Self> {
        match name {
            "GET" | "HEAD" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "PUT" => Some(Self::Put),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// Declares routes as constants, and the list of all of them.
macro_rules! routes {
    ($(#[$list_doc:meta])* $list:ident {
        $($(#[$doc:meta])* $name:ident = $method:ident $path:literal $policy:expr $(, $body_bytes_max:expr)?;)*
    }) => {
        $(
            $(#[$doc])*
            pub const $name: crate::Route =
                crate::Route::new(crate::Method::$method, $path, $policy)$(.with_body_max($body_bytes_max))?;
        )*

        $(#[$list_doc])*
        pub const $list: &[crate::Route] = &[$($name),*];
    };
}
pub(crate) use routes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        BODY_BYTES_MAX, IMPORT_BODY_BYTES_MAX, OPEN_BODY_BYTES_MAX, PRODUCT_BODY_BYTES_MAX, Policy,
        WEBHOOK_BODY_BYTES_MAX,
    };
    use crate::{catalog, payment, public_routes, user};

    #[test]
    fn a_body_without_a_token_is_small_and_only_products_and_signed_messages_may_be_large() {
        for route in public_routes() {
            let product = [catalog::routes::CREATE, catalog::routes::CHANGE].contains(&route);
            let expected = match route.policy {
                _ if product => PRODUCT_BODY_BYTES_MAX,
                _ if route == catalog::routes::IMPORT => IMPORT_BODY_BYTES_MAX,
                _ if route == payment::routes::WEBHOOK => WEBHOOK_BODY_BYTES_MAX,
                Policy::Open | Policy::Optional => OPEN_BODY_BYTES_MAX,
                _ => BODY_BYTES_MAX,
            };
            assert_eq!(route.body_bytes_max, expected, "{}", route.path);
            assert_eq!(route.is_streamed(), route == catalog::routes::IMPORT, "{}", route.path);
        }
    }

    #[test]
    fn parameters_are_filled_in_their_order() {
        let route = user::routes::READ_ADDRESS_OF;
        assert_eq!(route.path_of([&1, &"b"]), "/internal/v1/users/1/addresses/b");
        assert_eq!(user::routes::READ_OWN.path_of([]), user::routes::READ_OWN.path);
    }

    #[test]
    fn every_public_route_is_declared_once_below_the_prefix_of_the_api() {
        let routes: Vec<_> = public_routes().collect();
        let distinct: BTreeSet<_> = routes.iter().map(|route| (route.method, route.path)).collect();
        assert_eq!(distinct.len(), routes.len());
        assert!(routes.iter().all(|route| route.path.starts_with("/api/v1/")));
    }
}
