//! Receivers of webhooks, by HTTP as Standard Webhooks describes it: the headers, the signatures, what an answer says.

mod signature;

use std::{sync::Arc, time::Duration};

use agora_chassis::{chain, trace};
use agora_outbound::foreign::{AddressPolicy, ForeignClient, ForeignLimits, ForeignUrl, Resolver, TlsError};
use agora_vocab::{Clock, Invalid, Secret};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

pub use signature::sign;

use crate::{
    domain::webhook::Reply,
    ports::{OutgoingWebhook, WebhookSender},
};

/// Limits of one attempt.
const LIMITS: ForeignLimits =
    ForeignLimits { connect: Duration::from_secs(5), total: Duration::from_secs(15), answer_bytes_max: 8 << 10 };
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const USER_AGENT: HeaderValue = HeaderValue::from_static("Agora-Webhooks");

/// Sends events over HTTP.
#[derive(Clone, Debug)]
pub struct HttpWebhooks {
    client: ForeignClient,
    policy: AddressPolicy,
    clock: Arc<dyn Clock>,
}

impl HttpWebhooks {
    /// Reaches the addresses that `policy` allows, looked up by `resolver`.
    pub fn new(policy: AddressPolicy, resolver: Arc<dyn Resolver>, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        Self::with_limits(policy, resolver, clock, LIMITS)
    }

    /// The same with other limits of time.
    pub fn with_limits(
        policy: AddressPolicy,
        resolver: Arc<dyn Resolver>,
        clock: Arc<dyn Clock>,
        limits: ForeignLimits,
    ) -> Result<Self, TlsError> {
        let client = ForeignClient::new(policy.clone(), limits, resolver, None)?;
        Ok(Self { client, policy, clock })
    }

    fn parse(&self, url: &str) -> Result<ForeignUrl, Invalid> {
        ForeignUrl::parse(url, &self.policy).map_err(|fault| Invalid::new("url", fault.to_string()))
    }
}

#[async_trait]
impl WebhookSender for HttpWebhooks {
    fn check(&self, url: &str) -> Result<(), Invalid> {
        self.parse(url).map(|_| ())
    }

    async fn send(&self, webhook: OutgoingWebhook) -> Reply {
        let OutgoingWebhook { url, message_id, body, secrets } = webhook;
        let url = match self.parse(&url) {
            Ok(url) => url,
            Err(Invalid { message, .. }) => {
                return Reply::None(format!("the URL is not allowed any more: it {message}"));
            }
        };
        let now = self.clock.now();
        let mut headers = match headers(&message_id, now, &body, &secrets) {
            Ok(headers) => headers,
            Err(reason) => return Reply::None(reason.to_owned()),
        };
        trace::inject(&mut headers);
        match self.client.post(&url, headers, Bytes::from(body)).await {
            Ok(answer) => Reply::Answered {
                status: answer.status.as_u16(),
                retry_after: retry_after(&answer.headers, now),
                body: String::from_utf8_lossy(&answer.body).into_owned(),
            },
            Err(error) => Reply::None(chain(&error)),
        }
    }
}

fn headers(message_id: &str, now: OffsetDateTime, body: &str, secrets: &[Secret]) -> Result<HeaderMap, &'static str> {
    const UNWRITABLE: &str = "the headers cannot be written";
    let timestamp = now.unix_timestamp();
    let signatures: Option<Vec<String>> =
        secrets.iter().map(|secret| sign(secret, message_id, timestamp, body)).collect();
    let signatures = signatures.ok_or("the secret of the webhook is no Base64")?.join(" ");
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| UNWRITABLE);
    Ok(HeaderMap::from_iter([
        (ID, text(message_id)?),
        (TIMESTAMP, HeaderValue::from(timestamp)),
        (SIGNATURE, text(&signatures)?),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::USER_AGENT, USER_AGENT),
    ]))
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Duration::try_from(at - now).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agora_vocab::Secret;
    use http::{HeaderMap, HeaderValue, header};
    use time::macros::datetime;

    use super::{headers, retry_after};

    #[test]
    fn an_answer_may_say_when_to_try_again_in_seconds_or_as_a_date() {
        let now = datetime!(2015-10-21 07:27:30 UTC);
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(30)));
        for text in ["", "soon", "-5", "Wed, 21 Oct 2015 07:27:00 GMT"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn each_valid_secret_signs() {
        let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA"].map(Secret::new);
        let headers = headers("msg_1", datetime!(2026-01-01 00:00 UTC), "{}", &secrets).unwrap();
        let signatures: Vec<_> = headers["webhook-signature"].to_str().unwrap().split(' ').collect();
        assert!(signatures.len() == 2 && signatures.iter().all(|signature| signature.starts_with("v1,")));
        assert_eq!(headers["webhook-timestamp"], "1767225600");
    }
}
