//! Passwords that attackers try first, because they were in breaches: a Bloom filter in the binary.
//!
//! Of passwords that are not in the list, one of ten thousand is taken for one that is, and its user chooses another one.
//! The list, its sources and their licences are in `passwords/`.

use aws_lc_rs::digest::{SHA256, digest};

/// 20 bits for each password of the list.
const FILTER: &[u8] = include_bytes!("../../passwords/breached.bloom");

/// Bits of a password in the filter: the best number for 20 bits each would be 14, and 13 are as good.
const BITS_OF_ONE: u64 = 13;

/// Whether the list has the password, in any mixture of capitals.
pub fn is_breached(password: &str) -> bool {
    contains(FILTER, password)
}

fn contains(filter: &[u8], password: &str) -> bool {
    let bits = bits(filter);
    positions(&password.to_lowercase(), bits).all(|(byte, mask)| filter.get(byte).is_some_and(|bits| bits & mask != 0))
}

fn bits(filter: &[u8]) -> u64 {
    u64::try_from(filter.len()).unwrap_or_default() * 8
}

/// Byte and mask of each bit: two halves of a digest, added up (Kirsch and Mitzenmacher, "Less Hashing, Same Performance").
fn positions(password: &str, bits: u64) -> impl Iterator<Item = (usize, u8)> {
    let digest = digest(&SHA256, password.as_bytes());
    let half = |at: usize| {
        let bytes = digest.as_ref().get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    let (first, step) = (half(0), half(8) | 1);
    (0..BITS_OF_ONE).map(move |n| {
        let bit = first.wrapping_add(n.wrapping_mul(step)) % bits.max(1);
        (usize::try_from(bit / 8).unwrap_or_default(), 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FILTER, contains, is_breached, positions};

    const LIST: &str = include_str!("../../passwords/breached.txt");
    const BITS_PER_PASSWORD: usize = 20;
    /// Largest filter, in bytes: it is in every process.
    const FILTER_BYTES_MAX: usize = 128 << 10;

    /// The filter of a list.
    fn filter_of(list: &str) -> Vec<u8> {
        let mut filter = vec![0_u8; (list.lines().count() * BITS_PER_PASSWORD).div_ceil(8)];
        let bits = u64::try_from(filter.len()).unwrap() * 8;
        for (byte, mask) in list.lines().flat_map(|password| positions(password, bits)) {
            filter[byte] |= mask;
        }
        filter
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable selects the mode of this test; it is not a setting of a service"
    )]
    fn gw11_the_committed_filter_is_the_one_of_the_list() {
        let filter = filter_of(LIST);
        if std::env::var_os("AGORA_UPDATE").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("passwords/breached.bloom");
            std::fs::write(path, &filter).unwrap();
        }
        assert!(filter == FILTER, "passwords/breached.bloom is stale: run the tests of agora-user with AGORA_UPDATE=1");
        assert!(filter.len() <= FILTER_BYTES_MAX, "{} bytes", filter.len());
    }

    #[test]
    fn gw11_every_password_of_the_list_is_found_and_nearly_no_other_one() {
        const OTHERS: usize = 50_000;
        assert!(LIST.lines().count() > 20_000 && LIST.lines().all(is_breached));
        assert!(is_breached("Password1") && is_breached("QWERTYUIOP"));
        let taken = (0..OTHERS).filter(|n| is_breached(&format!("not in any list {n}"))).count();
        assert!(taken <= OTHERS / 2_000, "{taken} of {OTHERS}");
        assert!(!contains(&[], "password"));
    }
}
