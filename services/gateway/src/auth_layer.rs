//! Authentication at the gateway: which requests must have a valid token.
//!
//! The services verify tokens again; the rule only saves them work.

use agora_web::TokenRule;

/// Paths without authentication: a client with an expired token must be able to get a new one.
const OPEN: [&str; 9] = [
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/auth/register",
    "/auth/login",
    "/api/users/login",
    "/s3/users",
    "/s3/users/login",
];

/// Paths below `/api/v1` that require a token.
const CLOSED: [&str; 6] = ["/users", "/auth/validate", "/cart", "/orders", "/admin", "/payments"];

/// An invalid token is rejected, and a missing one on a protected path.
pub fn token_rule(path: &str) -> TokenRule {
    if OPEN.contains(&path) {
        return TokenRule::ByRoute;
    }
    let closed = path.strip_prefix("/api/v1").is_some_and(|below| CLOSED.iter().any(|closed| is_below(below, closed)));
    if closed { TokenRule::Required } else { TokenRule::Optional }
}

/// Whether `path` is `prefix` or lies below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use agora_web::TokenRule;

    use super::token_rule;

    #[test]
    fn a_path_is_protected_with_everything_below_it_and_nothing_beside_it() {
        for path in ["/api/v1/cart", "/api/v1/orders/1", "/api/v1/users/me", "/api/v1/auth/validate"] {
            assert_eq!(token_rule(path), TokenRule::Required, "{path}");
        }
        for path in ["/", "/api/v1/products", "/api/v1/cartoons", "/cart", "/api/v1/auth/login/x", "/nothing"] {
            assert_eq!(token_rule(path), TokenRule::Optional, "{path}");
        }
        for path in ["/api/v1/auth/login", "/auth/register", "/s3/users"] {
            assert_eq!(token_rule(path), TokenRule::ByRoute, "{path}");
        }
    }
}
