//! What looks like a payment card number. Knows digits alone; it must never keep or return what it saw.

/// Shortest and longest primary account number in digits (ISO/IEC 7812-1 allows up to 19; issuers start at 13).
const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// Whether `text`, as a whole, reads like a card number: 13-19 digits, single spaces or dashes between them, the first
/// digit 2-6, and a valid Luhn check digit.
///
/// ```
/// assert!(agora_vocab::looks_like_card_number("4242 4242 4242 4242"));
/// assert!(!agora_vocab::looks_like_card_number("4242 4242 4242 4241"));
/// assert!(!agora_vocab::looks_like_card_number("Order 4242"));
/// ```
pub fn looks_like_card_number(text: &str) -> bool {
    digits(text.trim()).is_some_and(|digits| {
        (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) && (2..=6).contains(&digits[0]) && luhn(&digits)
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
    use super::looks_like_card_number;

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
}
