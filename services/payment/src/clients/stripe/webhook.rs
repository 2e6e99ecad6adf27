//! Messages of the provider: their signature `t=…,v1=…`, a HMAC-SHA256 over time and body.

use std::sync::Arc;

use agora_chassis::WatchedSecret;
use agora_vocab::Clock;
use aws_lc_rs::hmac;
use serde::Deserialize;

use crate::ports::{ProviderEvent, WebhookError, Webhooks};

/// Most seconds between the signature and its verification.
const TOLERANCE_S: u64 = 300;
/// Maximum number of signatures in one header.
const SIGNATURES_MAX: usize = 8;
/// Longest id, kind or reference, in bytes.
const TEXT_BYTES_MAX: usize = 255;

/// Verifies messages with the secrets of the endpoint: one a line, two while one of them is replaced.
#[derive(Clone, Debug)]
pub struct StripeWebhooks {
    secrets: WatchedSecret,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "object")]
    kind: String,
    id: Option<String>,
    payment_intent: Option<String>,
}

impl StripeWebhooks {
    /// `secrets`: one signing secret a line, read at each message.
    pub fn new(secrets: WatchedSecret, clock: Arc<dyn Clock>) -> Self {
        Self { secrets, clock }
    }

    fn is_signed(&self, time: &str, signatures: &[Vec<u8>], body: &[u8]) -> bool {
        let secrets = self.secrets.current();
        let secrets = secrets.expose().lines().map(str::trim).filter(|secret| !secret.is_empty());
        let signed = [time.as_bytes(), b".", body].concat();
        // Every pair is compared, each in constant time.
        secrets.fold(false, |found, secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let fits = |signature: &Vec<u8>| hmac::verify(&key, &signed, signature).is_ok();
            signatures.iter().fold(found, |found, signature| fits(signature) || found)
        })
    }
}

impl Webhooks for StripeWebhooks {
    fn provider(&self) -> &'static str {
        "stripe"
    }

    fn verify(&self, signature: &str, body: &[u8]) -> Result<ProviderEvent, WebhookError> {
        let (mut time, mut signatures) = (None, Vec::new());
        for (name, value) in signature.split(',').filter_map(|part| part.trim().split_once('=')) {
            match name {
                "t" => time = Some(value),
                "v1" => signatures.extend(unhex(value)),
                _ => {}
            }
        }
        signatures.truncate(SIGNATURES_MAX);
        let time = time.ok_or(WebhookError::Signature)?;
        let seconds: i64 = time.parse().map_err(|_| WebhookError::Signature)?;
        if !self.is_signed(time, &signatures, body) {
            return Err(WebhookError::Signature);
        }
        if self.clock.now().unix_timestamp().abs_diff(seconds) > TOLERANCE_S {
            return Err(WebhookError::Stale);
        }
        parse(body)
    }
}

fn parse(body: &[u8]) -> Result<ProviderEvent, WebhookError> {
    let Event { id, kind, data: Data { object } } =
        serde_json::from_slice(body).map_err(|_| WebhookError::Malformed)?;
    let reference = if object.kind == "payment_intent" { object.id } else { object.payment_intent };
    let is_short = |text: &str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0');
    if is_short(&id) && is_short(&kind) && reference.as_deref().is_none_or(is_short) {
        Ok(ProviderEvent { id, kind, reference })
    } else {
        Err(WebhookError::Malformed)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use agora_testkit::FixedClock;
    use time::{Duration, OffsetDateTime};

    use super::*;

    const BODY: &[u8] =
        br#"{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{"object":"payment_intent","id":"pi_1"}}}"#;

    fn sign(secret: &str, time: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, &[time.to_string().as_bytes(), b".", body].concat());
        let digits = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits: String = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect();
        format!("t={time},v1={digits}")
    }

    fn verifier(now: i64, secrets: &str) -> StripeWebhooks {
        let clock = FixedClock::at(OffsetDateTime::UNIX_EPOCH + Duration::seconds(now));
        StripeWebhooks::new(WatchedSecret::fixed(secrets), Arc::new(clock))
    }

    #[test]
    fn a_signature_of_any_current_secret_is_accepted_for_five_minutes() {
        let both = "whsec_new\nwhsec_old\n";
        for secret in ["whsec_new", "whsec_old"] {
            let event = verifier(1000, both).verify(&sign(secret, 1000, BODY), BODY).unwrap();
            assert_eq!((event.id.as_str(), event.reference.as_deref()), ("evt_1", Some("pi_1")));
        }
        for (now, expected) in [(1300, None), (1301, Some(WebhookError::Stale)), (699, Some(WebhookError::Stale))] {
            assert_eq!(verifier(now, both).verify(&sign("whsec_new", 1000, BODY), BODY).err(), expected, "{now}");
        }
    }

    #[test]
    fn a_signature_of_another_secret_body_or_time_is_refused() {
        let good = sign("whsec", 1000, BODY);
        let mut changed = BODY.to_vec();
        changed[8] ^= 1;
        let later = good.replacen("t=1000", "t=1001", 1);
        let cases: [(&str, &[u8]); 7] = [
            (&sign("other", 1000, BODY), BODY),
            (&good, &changed),
            (&later, BODY),
            ("", BODY),
            ("t=1000", BODY),
            ("t=1000,v1=00", BODY),
            (&good.replace("v1=", "v0="), BODY),
        ];
        for (signature, body) in cases {
            assert_eq!(verifier(1000, "whsec").verify(signature, body), Err(WebhookError::Signature), "{signature}");
        }
        assert!(verifier(1000, "\n").verify(&sign("", 1000, BODY), BODY).is_err(), "an empty secret signs nothing");
    }

    #[test]
    fn an_event_of_a_charge_or_refund_names_its_payment_intent() {
        let body = br#"{"id":"evt_2","type":"charge.refunded","data":{"object":{"object":"charge","id":"ch_1","payment_intent":"pi_9"}}}"#;
        let event = verifier(1, "whsec").verify(&sign("whsec", 1, body), body).unwrap();
        assert_eq!(event.reference.as_deref(), Some("pi_9"));
        let body = b"{}";
        assert_eq!(verifier(1, "whsec").verify(&sign("whsec", 1, body), body), Err(WebhookError::Malformed));
    }
}
