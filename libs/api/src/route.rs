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
    /// Its class of limits and of priority.
    pub class: RouteClass,
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

/// What a route is for. The gateway counts the requests of a client by class, and rejects those of the less important
/// classes first when there are more requests than it can serve. In the order of importance, the least important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteClass {
    /// Products, search, recommendations: most requests, and those that a visitor misses least.
    Browsing,
    /// The work of administrators.
    Admin,
    /// What users see and change of themselves: profile, addresses, notifications, past orders.
    Account,
    /// Registration, login, and what ends in a new session or password: worth guessing at.
    Credentials,
    /// Carts.
    Cart,
    /// Orders and payments that are being made.
    Checkout,
    /// What is neither counted nor rejected: messages of payment providers, health checks, and all routes for services.
    Exempt,
}

impl RouteClass {
    /// The classes whose requests are counted.
    pub const LIMITED: [Self; 6] =
        [Self::Browsing, Self::Admin, Self::Account, Self::Credentials, Self::Cart, Self::Checkout];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Browsing => "browsing",
            Self::Admin => "admin",
            Self::Account => "account",
            Self::Credentials => "credentials",
            Self::Cart => "cart",
            Self::Checkout => "checkout",
            Self::Exempt => "exempt",
        }
    }

    /// The class of that name whose requests are counted.
    pub fn limited(name: &str) -> Option<Self> {
        Self::LIMITED.into_iter().find(|class| class.name() == name)
    }
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
    /// [`BODY_BYTES_MAX`]. Its class is [`RouteClass::Exempt`].
    pub const fn new(method: Method, path: &'static str, policy: Policy) -> Self {
        let body_bytes_max = match policy {
            Policy::Open | Policy::Optional => OPEN_BODY_BYTES_MAX,
            Policy::User | Policy::Role(_) | Policy::Service(_) => BODY_BYTES_MAX,
        };
        Self { method, path, policy, class: RouteClass::Exempt, body_bytes_max }
    }

    /// The same route in another class.
    #[must_use]
    pub const fn in_class(self, class: RouteClass) -> Self {
        Self { class, ..self }
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

/// Declares routes as constants, and the list of all of them. The class of the list is that of its routes, unless a route
/// names its own.
///
/// A route ends with what it takes and answers: `=> with Parameters (Body) -> 201 Answer, 304`. Parameters are types of
/// queries and headers, the body and the answers types that serialise or that name another content. With the feature `openapi`, a
/// function beside the list describes its routes.
macro_rules! routes {
    ($(#[doc = $list_doc:tt])* PUBLIC in $($rest:tt)*) => {
        crate::route::routes! { @declare [$($list_doc)*] PUBLIC public_operations $($rest)* }
    };
    ($(#[doc = $list_doc:tt])* INTERNAL in $($rest:tt)*) => {
        crate::route::routes! { @declare [$($list_doc)*] INTERNAL internal_operations $($rest)* }
    };
    (@declare [$($list_doc:tt)*] $list:ident $operations:ident $list_class:ident {
        $(
            $(#[doc = $doc:literal])*
            $name:ident $(in $class:ident)? = $method:ident $path:literal $policy:expr $(, $body_bytes_max:expr)?
                => $(with $($parameter:ident),+)? ($($body:ty)?) -> $($status:literal $($answer:ty)?),+;
        )*
    }) => {
        $(
            $(#[doc = $doc])*
            pub const $name: crate::Route =
                crate::Route::new(crate::Method::$method, $path, $policy)
                    .in_class(crate::RouteClass::$list_class)
                    $(.in_class(crate::RouteClass::$class))?
                    $(.with_body_max($body_bytes_max))?;

            // The types exist, whether or not they are described.
            const _: Option<(($($($parameter,)+)?), ($($body,)?), $((u16, $($answer)?),)+)> = None;
        )*

        $(#[doc = $list_doc])*
        pub const $list: &[crate::Route] = &[$($name),*];

        #[cfg(feature = "openapi")]
        pub(crate) fn $operations() -> Vec<crate::operation::Operation> {
            vec![$(
                crate::operation::Operation::new(stringify!($name), $name, &[$($doc),*])
                    $($(.with::<$parameter>())+)?
                    $(.body::<$body>())?
                    $(.answer($status)$(.of::<$answer>())?)+
            ),*]
        }
    };
}
pub(crate) use routes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        BODY_BYTES_MAX, IMPORT_BODY_BYTES_MAX, OPEN_BODY_BYTES_MAX, PRODUCT_BODY_BYTES_MAX, Policy, RouteClass,
        WEBHOOK_BODY_BYTES_MAX,
    };
    use crate::{catalog, payment, public_routes, user};

    #[test]
    fn gw6_every_public_route_is_counted_but_for_the_messages_of_payment_providers_and_a_class_follows_the_policy() {
        for route in public_routes() {
            let exempt = route == payment::routes::WEBHOOK;
            assert_eq!(route.class == RouteClass::Exempt, exempt, "{}", route.path);
            let admin = matches!(route.policy, Policy::Role(_));
            assert_eq!(route.class == RouteClass::Admin, admin, "{}", route.path);
            let anybody = matches!(route.policy, Policy::Open | Policy::Optional);
            let of_a_user = matches!(route.class, RouteClass::Account | RouteClass::Checkout);
            assert!(!(anybody && of_a_user), "{}", route.path);
        }
        let names: BTreeSet<_> = RouteClass::LIMITED.into_iter().map(RouteClass::name).collect();
        assert_eq!(names.len(), RouteClass::LIMITED.len());
        assert!(RouteClass::LIMITED.into_iter().all(|class| RouteClass::limited(class.name()) == Some(class)));
        assert_eq!(RouteClass::limited("exempt"), None);
    }

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
