//! The one table of services: ports, routes, databases, topics, callees, default scaling.
//!
//! Data and lookups, nothing else: no I/O, no Kubernetes, no HTTP. Callees make network edges and URLs, never a start
//! order: every service starts without the others.

mod calls;
mod environment;
mod origin;
mod rate_limit;

use agora_events::{Topic, topics};

pub use calls::{LINKS, OWN_TOKENS, callers};
pub use environment::{ENV_DATABASE, ENV_INTERNAL, ENV_KAFKA, ENV_OF_ALL};
pub use origin::{CORS_ORIGIN_BYTES_MAX, CORS_ORIGIN_PATTERN, is_cors_origin};
pub use rate_limit::{
    RATE_LIMIT_BURST_MAX, RATE_LIMIT_CLASSES, RATE_LIMIT_PER_MINUTE_MAX, TRUSTED_PROXIES_MAX, rate_limit_burst,
};

/// Port of `/livez`, `/readyz`, `/metrics` and `/info` in every process.
pub const ADMIN_PORT: u16 = 9090;

/// Port of the gateway with TLS, where it terminates TLS itself.
pub const GATEWAY_TLS_PORT: u16 = 3443;

/// A service of the marketplace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name: the folder, the child's suffix, the label, the environment prefix in capitals.
    pub name: &'static str,
    /// Port of the public API.
    pub port: u16,
    /// Port of internal commands, where it answers any.
    pub internal_port: Option<u16>,
    /// Path prefixes under `/api/v1` that the gateway sends here; the longest match wins.
    pub routes: &'static [&'static str],
    /// Whether it owns a database (and so a migration and the connection budget's share).
    pub database: bool,
    /// Topics that it writes.
    pub publishes: &'static [Topic],
    /// Topics that it reads.
    pub consumes: &'static [Topic],
    /// Its consumer groups, before the isolation key is put in front; their names begin with its own. None if each of its
    /// processes reads all of its topics.
    pub groups: &'static [&'static str],
    /// Services whose internal port it calls.
    pub calls: &'static [&'static str],
    /// Whether the gateway may reach its public port (false for the gateway itself).
    pub behind_gateway: bool,
    /// Environment names that it reads besides those that every service reads.
    pub env: &'static [&'static str],
    /// CPU utilisation, in percent of the request, that the autoscaler aims at.
    pub cpu_target_percent: i32,
    /// Whether a shopper can only browse, order and pay while it is available.
    pub needed_to_buy: bool,
}

/// The consumer group of the archive, which the search service writes.
pub const ARCHIVE_GROUP: &str = "search-archive";

/// Every service, the way in first.
pub const ALL: &[Service] = &[GATEWAY, USER, CATALOG, CART, ORDER, PAYMENT, NOTIFICATION, RECOMMENDATION, SEARCH];

/// The public entry point.
pub const GATEWAY: Service = Service {
    name: "gateway",
    port: 3000,
    internal_port: None,
    routes: &[],
    database: false,
    publishes: &[],
    // What it pushes to the clients of each user.
    consumes: &[topics::ORDER, topics::PAYMENT, topics::CART, topics::RECOMMENDATION],
    groups: &[],
    calls: &[],
    behind_gateway: false,
    env: &[
        "CORS_ORIGINS",
        "LEGACY_ALIASES",
        "GRAPHQL_INTROSPECTION",
        "GRAPHQL_DOCUMENTS",
        "GRAPHQL_PERSISTED_DOCUMENTS_FILE",
        "RATE_LIMITS_FILE",
        "TRUSTED_PROXIES",
        // TLS at the gateway itself, and what it tells browsers of it.
        "TLS_PORT",
        "TLS_CERTIFICATE_FILE",
        "TLS_KEY_FILE",
        "PUBLIC_URL",
        "HSTS_MAX_AGE_SECONDS",
        "HSTS_SUBDOMAINS",
        "USER_URL",
        "CATALOG_URL",
        "CART_URL",
        "ORDER_URL",
        "PAYMENT_URL",
        "NOTIFICATION_URL",
        "SEARCH_URL",
        "RECOMMENDATION_URL",
    ],
    cpu_target_percent: 70,
    needed_to_buy: true,
};

/// Accounts, sessions and address books.
pub const USER: Service = Service {
    name: "user",
    port: 3001,
    internal_port: Some(4001),
    routes: &["/auth", "/users", "/admin/users"],
    database: true,
    publishes: &[topics::USER],
    consumes: &[],
    groups: &[],
    calls: &[],
    behind_gateway: true,
    env: &[
        "SIGNING_KEY_FILE",
        "ACCESS_TOKEN_LIFETIME_SECONDS",
        "ADMIN_EMAIL",
        "ADMIN_PASSWORD",
        // The identity provider of the staff.
        "OIDC_ISSUER_URL",
        "OIDC_CLIENT_ID",
        "OIDC_CLIENT_SECRET",
        "OIDC_REDIRECT_URL",
        "OIDC_GROUPS_CLAIM",
        "OIDC_ROLES",
        "OIDC_PLAIN_HTTP",
    ],
    cpu_target_percent: 70,
    needed_to_buy: true,
};

/// Products and stock.
pub const CATALOG: Service = Service {
    name: "catalog",
    port: 3002,
    internal_port: Some(4002),
    routes: &["/products", "/admin/products", "/categories", "/brands", "/suppliers", "/locations", "/warehouses"],
    database: true,
    publishes: &[topics::PRODUCT, topics::INVENTORY, topics::PROMOTIONAL],
    consumes: &[topics::ORDER],
    groups: &["catalog"],
    calls: &[],
    behind_gateway: true,
    env: &["DEFAULT_LANGUAGE", "PROMOTION_INTERVAL_SECONDS", "PROMOTION_TITLE", "ASSET_BASE_URL"],
    cpu_target_percent: 70,
    needed_to_buy: true,
};

/// Carts and checkouts.
pub const CART: Service = Service {
    name: "cart",
    port: 3003,
    internal_port: Some(4003),
    routes: &["/cart", "/guest-carts"],
    database: true,
    publishes: &[topics::CART],
    consumes: &[topics::PRODUCT, topics::ORDER, topics::USER],
    groups: &["cart"],
    calls: &["catalog"],
    behind_gateway: true,
    env: &["CATALOG_INTERNAL_URL", "ASSET_BASE_URL"],
    cpu_target_percent: 70,
    needed_to_buy: true,
};

/// Orders and their sagas.
pub const ORDER: Service = Service {
    name: "order",
    port: 3004,
    internal_port: Some(4004),
    routes: &[
        "/orders",
        "/admin/orders",
        "/admin/reports",
        "/admin/coupons",
        "/admin/shipping-methods",
        "/admin/tax-rules",
    ],
    database: true,
    publishes: &[topics::ORDER],
    consumes: &[topics::PAYMENT, topics::INVENTORY, topics::USER],
    groups: &["order"],
    calls: &["catalog", "cart", "payment", "user"],
    behind_gateway: true,
    env: &[
        "CATALOG_INTERNAL_URL",
        "CART_INTERNAL_URL",
        "PAYMENT_INTERNAL_URL",
        "USER_INTERNAL_URL",
        "ORDER_PAYMENT_WINDOW_SECONDS",
        "ORDER_UNPAID_ORDERS_MAX",
        "ORDER_UNPAID_UNITS_MAX",
    ],
    cpu_target_percent: 70,
    needed_to_buy: true,
};

/// Payments, refunds and the ledger.
pub const PAYMENT: Service = Service {
    name: "payment",
    port: 3005,
    internal_port: Some(4005),
    routes: &["/payments"],
    database: true,
    publishes: &[topics::PAYMENT],
    consumes: &[topics::ORDER],
    groups: &["payment"],
    calls: &["order"],
    behind_gateway: true,
    env: &[
        "ORDER_INTERNAL_URL",
        "PAYMENT_PROVIDER",
        "ENCRYPTION_KEY",
        "ENCRYPTION_KEY_PREVIOUS",
        "STRIPE_BASE_URL",
        "STRIPE_API_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "STRIPE_RETURN_URL",
    ],
    cpu_target_percent: 70,
    needed_to_buy: true,
};

/// Consumer groups of the notification service: a backlog of promotions does not delay the mail of an order.
pub const NOTIFICATION_GROUPS: [&str; 2] = ["notification-critical", "notification-standard"];

/// Notifications by list and by mail, and the dead letters of every service.
pub const NOTIFICATION: Service = Service {
    name: "notification",
    port: 3006,
    internal_port: None,
    routes: &["/notifications", "/admin/notifications", "/admin/dead-letters", "/admin/webhooks"],
    database: true,
    publishes: &[],
    consumes: &[
        topics::USER,
        topics::ORDER,
        topics::PAYMENT,
        topics::PROMOTIONAL,
        topics::RECOMMENDATION,
        topics::CART,
        topics::DEAD_LETTER,
    ],
    groups: &NOTIFICATION_GROUPS,
    calls: &[],
    behind_gateway: true,
    env: &[
        // Tokens of links in mails are derived from it.
        "INTERNAL_SECRET",
        "SMTP_HOST",
        "SMTP_PORT",
        "SMTP_TLS",
        "SMTP_CA_FILE",
        "SMTP_USERNAME",
        "SMTP_PASSWORD",
        "SMTP_FROM",
        "PUBLIC_URL",
        "MAIL_OPEN_TRACKING",
        // Secrets of webhooks are encrypted under it.
        "ENCRYPTION_KEY",
        "ENCRYPTION_KEY_PREVIOUS",
        "WEBHOOK_PLAIN_HTTP",
        "WEBHOOK_PRIVATE_ADDRESSES",
        "WEBHOOK_PORTS",
    ],
    cpu_target_percent: 70,
    needed_to_buy: false,
};

/// Products that users may want next.
pub const RECOMMENDATION: Service = Service {
    name: "recommendation",
    port: 3007,
    internal_port: None,
    routes: &["/recommendations", "/admin/recommendations"],
    database: true,
    publishes: &[topics::RECOMMENDATION],
    consumes: &[topics::ORDER, topics::PRODUCT, topics::INVENTORY],
    groups: &["recommendation"],
    calls: &[],
    behind_gateway: true,
    env: &[
        "RECOMMENDATION_INTERVAL_SECONDS",
        "RECOMMENDATION_DEFAULT_CATEGORY",
        "ARCHIVE_URL",
        "ARCHIVE_ENDPOINT",
        "ARCHIVE_REGION",
        "ARCHIVE_ACCESS_KEY_ID",
        "ARCHIVE_SECRET_ACCESS_KEY",
        "ARCHIVE_MAX_AGE_SECONDS",
        "ARCHIVE_RETENTION_DAYS",
    ],
    cpu_target_percent: 70,
    needed_to_buy: false,
};

/// The search index.
pub const SEARCH: Service = Service {
    name: "search",
    port: 3008,
    internal_port: None,
    routes: &["/search", "/admin/search"],
    database: true,
    publishes: &[],
    consumes: &[topics::PRODUCT, topics::INVENTORY],
    groups: &["search", ARCHIVE_GROUP],
    calls: &["catalog"],
    behind_gateway: true,
    env: &[
        "CATALOG_INTERNAL_URL",
        "DATABASE_READ_ADDRESS",
        "DATABASE_READ_LAG_SECONDS_MAX",
        "ASSET_BASE_URL",
        "ARCHIVE_URL",
        "ARCHIVE_ENDPOINT",
        "ARCHIVE_REGION",
        "ARCHIVE_ACCESS_KEY_ID",
        "ARCHIVE_SECRET_ACCESS_KEY",
        "ARCHIVE_MAX_AGE_SECONDS",
        "ARCHIVE_RETENTION_DAYS",
    ],
    cpu_target_percent: 70,
    needed_to_buy: false,
};

impl Service {
    /// Whether it writes or reads any topic.
    pub const fn speaks_to_broker(&self) -> bool {
        !self.publishes.is_empty() || !self.consumes.is_empty()
    }

    /// Whether it stores secrets, which it encrypts under a key of its own.
    pub fn encrypts(&self) -> bool {
        self.env.contains(&"ENCRYPTION_KEY")
    }

    /// Whether it mints or checks internal tokens.
    pub const fn internal(&self) -> bool {
        self.internal_port.is_some() || !self.calls.is_empty()
    }
}

/// The service of that name.
pub fn service(name: &str) -> Option<&'static Service> {
    ALL.iter().find(|service| service.name == name)
}

/// The service behind the gateway that owns a path below `/api/v1`: the one with the longest prefix of it.
pub fn owner(path: &str) -> Option<&'static Service> {
    let below = path.strip_prefix("/api/v1")?;
    let owns = |prefix: &&str| below.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let longest =
        |service: &&'static Service| service.routes.iter().filter(|prefix| owns(prefix)).map(|p| p.len()).max();
    ALL.iter().filter(|service| longest(service).is_some()).max_by_key(longest)
}

/// Every topic that a service writes or reads, and the dead letters of those that read; each once, by name. A topic may be
/// read before the service that writes it exists.
pub fn all_topics() -> Vec<Topic> {
    let used = |service: &'static Service| service.publishes.iter().chain(service.consumes).copied();
    let mut all: Vec<Topic> = ALL.iter().flat_map(used).collect();
    if ALL.iter().any(|service| !service.consumes.is_empty()) {
        all.push(topics::DEAD_LETTER);
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ADMIN_PORT, ALL, all_topics, callers, owner, service};

    #[test]
    fn names_and_ports_are_unique() {
        let names: BTreeSet<_> = ALL.iter().map(|s| s.name).collect();
        let ports: Vec<_> =
            ALL.iter().flat_map(|s| [Some(s.port), s.internal_port]).flatten().chain([ADMIN_PORT]).collect();
        assert_eq!(names.len(), ALL.len());
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
    }

    #[test]
    fn every_consumer_has_groups_whose_names_begin_with_its_own_but_for_the_gateway_whose_processes_read_all() {
        for row in ALL {
            let groups = row.groups;
            assert_eq!(groups.is_empty(), row.consumes.is_empty() || row.name == "gateway", "{}", row.name);
            assert!(groups.iter().all(|group| group.starts_with(row.name)), "{groups:?}");
        }
    }

    #[test]
    fn the_longest_prefix_owns_a_path() {
        let name = |path| owner(path).map(|service| service.name);
        assert_eq!(name("/api/v1/orders/{id}"), Some("order"));
        assert_eq!(name("/api/v1/admin/orders"), Some("order"));
        assert_eq!(name("/api/v1/cart"), Some("cart"));
        assert_eq!(name("/api/v1/guest-carts/current"), Some("cart"));
        for path in ["/api/v1/carts", "/api/v1/admin", "/api/v1", "/cart"] {
            assert_eq!(name(path), None, "{path}");
        }
    }

    #[test]
    fn callees_exist_and_answer_on_an_internal_port() {
        for caller in ALL {
            for callee in caller.calls {
                assert!(service(callee).is_some_and(|s| s.internal_port.is_some()), "{} calls {callee}", caller.name);
            }
        }
        assert_eq!(callers("catalog").collect::<Vec<_>>(), ["cart", "order", "search"]);
    }

    #[test]
    fn every_topic_of_a_service_is_created() {
        let created = all_topics();
        assert!(ALL.iter().flat_map(|s| s.consumes.iter().chain(s.publishes)).all(|topic| created.contains(topic)));
        assert_eq!(created, {
            let mut all = agora_events::topics::ALL.to_vec();
            all.sort_unstable();
            all
        });
    }
}
