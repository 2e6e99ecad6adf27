//! Limits of requests: those of the spec, and the defaults of the profile.

use agora_crd::{MarketplaceSpec, Profile, RateLimit, RateLimitClass, RateLimitKey};
use agora_topology as topology;
use serde_json::{Value, json};

/// Requests a minute by class and key. Guessing passwords is limited in every profile; the others are those of a shop in
/// public, where a person clicks and a program does not.
const GUESSING: (RateLimitClass, RateLimitKey, i32) = (RateLimitClass::Credentials, RateLimitKey::Address, 60);
const PUBLIC: [(RateLimitClass, RateLimitKey, i32); 7] = [
    (RateLimitClass::Browsing, RateLimitKey::Address, 1_200),
    (RateLimitClass::Account, RateLimitKey::Address, 600),
    (RateLimitClass::Account, RateLimitKey::User, 240),
    (RateLimitClass::Cart, RateLimitKey::Address, 600),
    (RateLimitClass::Cart, RateLimitKey::User, 240),
    (RateLimitClass::Checkout, RateLimitKey::Address, 300),
    (RateLimitClass::Checkout, RateLimitKey::User, 60),
];

/// The limits in effect, the defaults first.
pub fn rate_limits(spec: &MarketplaceSpec) -> Vec<RateLimit> {
    let public: &[_] = if spec.profile == Profile::Development { &[] } else { &PUBLIC };
    let given = &spec.exposure.rate_limits;
    let replaced = |name, key| given.iter().any(|limit| (limit.name, limit.key) == (name, key));
    let defaults = [GUESSING].into_iter().chain(public.iter().copied()).filter(|(name, key, _)| !replaced(*name, *key));
    let defaults =
        defaults.map(|(name, key, requests_per_minute)| RateLimit { name, key, requests_per_minute, burst: None });
    defaults.chain(given.iter().copied()).collect()
}

/// The limits as the gateway reads them.
pub fn rate_limits_file(limits: &[RateLimit]) -> String {
    let limit = |limit: &RateLimit| {
        let default = topology::rate_limit_burst(limit.requests_per_minute.unsigned_abs());
        json!({
            "name": limit.name,
            "key": limit.key,
            "requestsPerMinute": limit.requests_per_minute,
            "burst": limit.burst.map_or(default, i32::unsigned_abs),
        })
    };
    Value::Array(limits.iter().map(limit).collect()).to_string()
}
