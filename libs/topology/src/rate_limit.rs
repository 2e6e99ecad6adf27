//! Limits of requests: what the gateway accepts and the schema of the resource allows.

/// Classes of routes whose requests are counted, by name.
pub const RATE_LIMIT_CLASSES: [&str; 6] = ["browsing", "admin", "account", "credentials", "cart", "checkout"];

/// Most requests a minute that a limit can allow.
pub const RATE_LIMIT_PER_MINUTE_MAX: u32 = 1_000_000;

/// Most requests at once that a limit can allow.
pub const RATE_LIMIT_BURST_MAX: u32 = 100_000;

/// Most proxies in front of the gateway that add to `X-Forwarded-For`.
pub const TRUSTED_PROXIES_MAX: u8 = 8;

/// Requests at once for a limit that does not say: a tenth of those of a minute, so that no minute has many more than the
/// limit says, and at least as many as one page needs.
pub const fn rate_limit_burst(requests_per_minute: u32) -> u32 {
    const BURST_MIN: u32 = 10;
    let tenth = requests_per_minute / 10;
    if tenth < BURST_MIN { BURST_MIN } else { tenth }
}

#[cfg(test)]
mod tests {
    use super::{RATE_LIMIT_BURST_MAX, RATE_LIMIT_PER_MINUTE_MAX, rate_limit_burst};

    #[test]
    fn gw6_a_burst_that_is_not_given_is_a_tenth_of_a_minute_but_enough_for_a_page() {
        for (per_minute, burst) in [(1, 10), (60, 10), (600, 60), (RATE_LIMIT_PER_MINUTE_MAX, RATE_LIMIT_BURST_MAX)] {
            assert_eq!(rate_limit_burst(per_minute), burst, "{per_minute}");
        }
    }
}
