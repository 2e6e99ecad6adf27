//! What looks like a payment card number. Knows digits alone; it must never keep or return what it saw.

use std::ops::RangeInclusive;

use uuid::Uuid;

/// Longest primary account number in digits (ISO/IEC 7812-1).
const DIGITS_MAX: usize = 19;

/// First six digits (or as many as are listed) of a card scheme, and the lengths of its numbers. Barcodes of 13 digits, IMEIs
/// of 15 and the codes of parcel lockers fall outside, so that they may stand in free text.
const SCHEMES: [(RangeInclusive<u32>, u32, &[usize]); 15] = [
    (4..=4, 1, &[16, 19]),               // Visa
    (51..=55, 2, &[16]),                 // Mastercard
    (2221..=2720, 4, &[16]),             // Mastercard
    (34..=34, 2, &[15]),                 // American Express
    (37..=37, 2, &[15]),                 // American Express
    (300..=305, 3, &[14, 16]),           // Diners Club
    (36..=36, 2, &[14, 16]),             // Diners Club
    (38..=39, 2, &[14, 16]),             // Diners Club
    (3528..=3589, 4, &[16, 17, 18, 19]), // JCB
    (6011..=6011, 4, &[16, 17, 18, 19]), // Discover
    (644..=659, 3, &[16, 17, 18, 19]),   // Discover
    (62..=62, 2, &[16, 17, 18, 19]),     // UnionPay
    (2200..=2204, 4, &[16, 17, 18, 19]), // Mir
    (5018..=5038, 4, &[16, 17, 18, 19]), // Maestro
    (6304..=6763, 4, &[16, 17, 18, 19]), // Maestro
];

/// Whether `text`, as a whole, reads like a card number: digits with single spaces or dashes between them, whose first
/// digits and length are those of a card scheme, and a valid Luhn check digit.
///
/// ```
/// assert!(agora_vocab::looks_like_card_number("4242 4242 4242 4242"));
/// assert!(!agora_vocab::looks_like_card_number("4242 4242 4242 4241"));
/// assert!(!agora_vocab::looks_like_card_number("Order 4242"));
/// ```
pub fn looks_like_card_number(text: &str) -> bool {
    digits(text.trim()).is_some_and(|digits| is_of_a_scheme(&digits) && luhn(&digits))
}

/// Whether a part of `text` reads like a card number: for keys, tokens and addresses, which are stored and sent on as they
/// are. A UUID in it has none, whatever its digits.
///
/// ```
/// assert!(agora_vocab::contains_card_number("tok_4242424242424242"));
/// assert!(!agora_vocab::contains_card_number("a4242424242424242"));
/// ```
pub fn contains_card_number(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-');
    text.split(|c| !is_part(c)).filter(|part| Uuid::try_parse(part).is_err()).any(|part| {
        let groups: Vec<&str> = part.split([' ', '-']).collect();
        let runs = groups.split(|group| group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit()));
        runs.into_iter()
            .any(|run| looks_like_card_number(&run.join(" ")) || run.iter().any(|group| looks_like_card_number(group)))
    })
}

fn is_of_a_scheme(digits: &[u8]) -> bool {
    SCHEMES.iter().any(|(prefixes, length, lengths)| {
        let prefix = digits.iter().take(*length as usize).fold(0, |prefix, digit| prefix * 10 + u32::from(*digit));
        prefixes.contains(&prefix) && lengths.contains(&digits.len())
    })
}

/// The digits of a text that holds nothing but digits and single separators between them.
fn digits(text: &str) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(DIGITS_MAX);
    let mut after_separator = true;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if digits.len() < DIGITS_MAX => {
                digits.push(byte - b'0');
                after_separator = false;
            }
            b' ' | b'-' if !after_separator => after_separator = true,
            _ => return None,
        }
    }
    (!digits.is_empty() && !after_separator).then_some(digits)
}

/// The Luhn check (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match u32::from(digit) {
            digit if place % 2 == 0 => digit,
            digit if digit > 4 => 2 * digit - 9,
            digit => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::{contains_card_number, looks_like_card_number};

    #[test]
    fn numbers_of_the_card_schemes_are_recognised() {
        for number in ["4111111111111111", "5500-0055-5555-5559", "3400 0000 0000 009", "6011000000000004"] {
            assert!(looks_like_card_number(number), "{number}");
        }
    }

    #[test]
    fn phone_numbers_uuids_and_prices_are_not() {
        for text in ["+49 30 901820", "1999", "0192f0c1-7e5c-7a31-9d51-6f1c2ad4b0aa", "1111111111111117", "4--4", ""] {
            assert!(!looks_like_card_number(text), "{text}");
        }
    }

    #[test]
    fn barcodes_imeis_and_parcel_lockers_are_not() {
        // EAN-13, IMEI, GTIN-14, SSCC-18, and the customer number of a parcel locker.
        for text in ["4006381333933", "356938035643809", "44006381333930", "340123450000000010", "2012345678903"] {
            assert!(!looks_like_card_number(text), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_key_a_token_or_an_address_is_found_and_a_uuid_or_a_digest_is_not() {
        for text in [
            "4111111111111111",
            "tok_4111111111111111",
            "4111-1111-1111-1111@example.com",
            "r-4111111111111111",
            "key 4111 1111 1111 1111 x",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
        for text in [
            "41111111-1111-1111-a111-111111111111",
            "https://example.com/41111111-1111-1111-a111-111111111111.png",
            "ab4111111111111111",
            "4111111111111112",
            "order 4111",
            "",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }
}
