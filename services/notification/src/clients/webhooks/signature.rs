//! Signatures of Standard Webhooks: `v1,` and the HMAC-SHA256 of id, time and body.

use agora_vocab::Secret;
use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// How a secret begins; its key follows in Base64.
const PREFIX: &str = "whsec_";

/// The signature of a message at a time, in seconds since 1970. `None` if the secret is no Base64.
pub fn sign(secret: &Secret, message_id: &str, timestamp: i64, body: &str) -> Option<String> {
    let encoded = secret.expose().strip_prefix(PREFIX).unwrap_or(secret.expose());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(encoded).ok()?);
    let tag = hmac::sign(&key, format!("{message_id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", BASE64_STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use agora_vocab::Secret;

    use super::sign;

    /// The test vector of the specification.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign(&Secret::new("whsec_!"), "msg", 0, ""), None);
    }
}
