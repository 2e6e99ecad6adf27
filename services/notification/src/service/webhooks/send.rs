//! Sends the deliveries that are due. A receiver that is slow or away delays only its own.

use std::time::{Duration, Instant};

use agora_chassis::trace::{self, Parent};
use futures::future::join_all;
use tokio::sync::watch;

use super::{WebhookError, WebhookService};
use crate::{
    domain::webhook::{DeliveryState, DisableReason, Reply, Verdict, message_id, verdict},
    ports::{AttemptEnd, DueDelivery, OutgoingWebhook, StoreError},
};

/// Deliveries that one process sends at once, and how many of them to one endpoint.
pub const AT_ONCE_MAX: u16 = 16;
const PER_ENDPOINT_MAX: u16 = 4;
/// Lease of a delivery: longer than it takes to send it and to store the outcome.
const LEASE: Duration = Duration::from_mins(1);
/// Longest beginning of an answer that is stored, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 10;
/// Longest reason that is stored, in characters.
const REASON_CHARS_MAX: usize = 300;

impl WebhookService {
    /// Leases deliveries that are due, at most `limit`.
    pub async fn lease(&self, limit: u16) -> Result<Vec<DueDelivery>, WebhookError> {
        Ok(self.store.lease_deliveries(limit, PER_ENDPOINT_MAX, LEASE).await?)
    }

    /// Sends all deliveries that are due, a few at once. Returns how many were due.
    pub async fn send_due(&self) -> Result<usize, WebhookError> {
        let due = self.lease(AT_ONCE_MAX).await?;
        let ends = join_all(due.iter().map(|due| self.deliver(due))).await;
        ends.into_iter().collect::<Result<(), StoreError>>()?;
        Ok(due.len())
    }

    /// Sends a leased delivery once, in the trace of its event, and stores how that ended. If the outcome cannot be stored, the
    /// lease ends by itself, and the event is sent again under the same `webhook-id`.
    pub async fn deliver(&self, due: &DueDelivery) -> Result<(), StoreError> {
        let parent = due.trace.as_deref().map(Parent::of_traceparent).unwrap_or_default();
        let span =
            tracing::info_span!("webhook", otel.kind = "producer", endpoint = %due.endpoint, event.id = %due.event);
        trace::follow(parent, span, self.attempt(due)).await
    }

    async fn attempt(&self, due: &DueDelivery) -> Result<(), StoreError> {
        let started = Instant::now();
        let reply = match self.outgoing(due) {
            Ok(webhook) => self.sender.send(webhook).await,
            Err(reason) => Reply::None(reason.to_owned()),
        };
        metrics::histogram!("webhook_attempt_duration_seconds").record(started.elapsed().as_secs_f64());
        let verdict = verdict(due.round, &reply, self.ids.next().as_u64_pair().1);
        let ended = self.store.end_attempt(due, &attempt_end(verdict, &reply)).await?;
        if !ended.stored {
            tracing::warn!(
                endpoint = %due.endpoint,
                event = %due.event,
                "a webhook was sent after its lease: it may be sent again, with its webhook-id"
            );
        }
        metrics::counter!("webhook_attempt_total", "outcome" => outcome(verdict)).increment(1);
        if let Some(reason) = ended.disabled {
            notice(due, reason);
        }
        Ok(())
    }

    /// Changes when deliveries may have become due by this process.
    pub fn queued(&self) -> watch::Receiver<()> {
        self.queued.subscribe()
    }

    /// How many deliveries wait, counted up to a limit.
    pub async fn waiting(&self) -> Result<u64, WebhookError> {
        Ok(self.store.waiting_deliveries().await?)
    }

    /// Signed with every valid secret that can be read; the current one must be.
    fn outgoing(&self, due: &DueDelivery) -> Result<OutgoingWebhook, &'static str> {
        let opened = due.secrets.iter().map(|sealed| {
            self.cipher.open(due.endpoint, sealed).inspect_err(|error| {
                tracing::error!(
                    endpoint = %due.endpoint,
                    %error,
                    "a secret of a webhook is not readable: restore ENCRYPTION_KEY or ENCRYPTION_KEY_PREVIOUS, or rotate the secret"
                );
            })
        });
        let opened: Vec<_> = opened.collect();
        match opened.first() {
            None => return Err("the webhook was deleted"),
            Some(Err(_)) => return Err("the secret of the webhook is not readable"),
            Some(Ok(_)) => {}
        }
        let message_id = message_id(due.event, due.endpoint);
        let secrets = opened.into_iter().flatten().collect();
        Ok(OutgoingWebhook { url: due.url.clone(), message_id, body: due.body.clone(), secrets })
    }
}

fn attempt_end(verdict: Verdict, reply: &Reply) -> AttemptEnd {
    let (state, wait) = match verdict {
        Verdict::Delivered => (DeliveryState::Delivered, Duration::ZERO),
        Verdict::Retry(wait) => (DeliveryState::Waiting, wait),
        Verdict::GiveUp | Verdict::Gone => (DeliveryState::Failed, Duration::ZERO),
    };
    let (status_code, answer, error) = match reply {
        Reply::Answered { status, body, .. } => {
            let error = (verdict != Verdict::Delivered).then(|| format!("the receiver answered {status}"));
            (Some(*status), Some(storable(body)), error)
        }
        Reply::None(reason) => (None, None, Some(storable(reason).chars().take(REASON_CHARS_MAX).collect())),
    };
    AttemptEnd { state, wait, status_code, answer, error, gone: verdict == Verdict::Gone }
}

/// The beginning of a text, without NUL, which PostgreSQL does not store.
fn storable(text: &str) -> String {
    let beginning = &text[..text.floor_char_boundary(ANSWER_BYTES_MAX)];
    beginning.replace('\0', " ")
}

const fn outcome(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Retry(_) => "retry",
        Verdict::GiveUp => "failed",
        Verdict::Gone => "gone",
    }
}

fn notice(due: &DueDelivery, reason: DisableReason) {
    metrics::counter!("webhook_disabled_total", "reason" => reason.as_str()).increment(1);
    let endpoint = due.endpoint;
    match reason {
        DisableReason::Gone => {
            tracing::error!(%endpoint, "disabled a webhook whose receiver answered 410: set it active once it receives again");
        }
        DisableReason::Failing => tracing::error!(
            %endpoint,
            "disabled a webhook at which nothing succeeded for 120 hours: mend the receiver, then set it active and redrive"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ANSWER_BYTES_MAX, attempt_end, storable};
    use crate::domain::webhook::{DeliveryState, Reply, Verdict};

    #[test]
    fn of_an_answer_the_first_kilobyte_is_stored_without_what_the_database_refuses() {
        assert_eq!(storable("a\0b"), "a b");
        let long = storable(&"ü".repeat(ANSWER_BYTES_MAX));
        assert_eq!((long.len(), long.chars().count()), (ANSWER_BYTES_MAX, ANSWER_BYTES_MAX / 2));
        assert_eq!(storable(&format!("a{}", "ü".repeat(ANSWER_BYTES_MAX))).len(), ANSWER_BYTES_MAX - 1);
    }

    #[test]
    fn a_success_has_no_error_and_a_failure_has_one() {
        let answer = |status| Reply::Answered { status, retry_after: None, body: "b".into() };
        let delivered = attempt_end(Verdict::Delivered, &answer(204));
        assert_eq!(
            (delivered.state, delivered.status_code, delivered.error),
            (DeliveryState::Delivered, Some(204), None)
        );
        let failed = attempt_end(Verdict::Gone, &answer(410));
        assert!(failed.gone && failed.state == DeliveryState::Failed && failed.error.unwrap().contains("410"));
        let wait = Duration::from_secs(5);
        let waiting = attempt_end(Verdict::Retry(wait), &Reply::None("x".repeat(1_000)));
        assert_eq!((waiting.state, waiting.wait, waiting.status_code), (DeliveryState::Waiting, wait, None));
        assert_eq!(waiting.error.unwrap().len(), 300);
    }
}
