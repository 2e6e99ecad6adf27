//! Sends the mails that are due. A failed one waits in the queue; it never holds up others or an event.

use std::time::{Duration, Instant};

use agora_chassis::trace::{self, Parent};
use agora_outbox::backoff;
use futures::future::join_all;

use super::{Error, NotificationService};
use crate::{
    domain::{Frame, MailFailure, MailState, Priority, Verdict, is_wanted, one_line, render, verdict},
    ports::{DueMail, Mailer, OutgoingMail, Postponement, StoreError},
};

/// Mails of a priority that one process sends at once.
const CRITICAL_AT_ONCE: u16 = 8;
const STANDARD_AT_ONCE: u16 = 4;
/// Time for a server to take one mail.
pub const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// Lease of a mail: longer than it takes to send it and to store the outcome.
const LEASE: Duration = Duration::from_secs(90);
/// First and longest wait after a failed attempt.
const RETRY_WAIT_MIN: Duration = Duration::from_secs(5);
const RETRY_WAIT_MAX: Duration = Duration::from_hours(2);
/// Longest name of a recipient, in characters.
const NAME_CHARS_MAX: usize = 100;
/// A standard mail that waited longer, for example for a token, is not sent.
const STANDARD_WAIT_MAX: Duration = Duration::from_hours(48);

impl NotificationService {
    /// Sends mails of a priority that are due, a few at once. Returns how many were due.
    pub async fn send_due(&self, priority: Priority) -> Result<usize, Error> {
        let Some(mailer) = &self.mailer else { return Ok(0) };
        let at_once = match priority {
            Priority::Critical => CRITICAL_AT_ONCE,
            Priority::Standard => STANDARD_AT_ONCE,
        };
        let mails = self.store.lease_mails(priority, at_once, LEASE).await?;
        let outcomes = join_all(mails.iter().map(|mail| self.deliver_in_trace(&**mailer, mail))).await;
        outcomes.into_iter().collect::<Result<(), StoreError>>()?;
        Ok(mails.len())
    }

    /// How many mails wait.
    pub async fn waiting_mails(&self) -> Result<u64, Error> {
        Ok(self.store.waiting_mails().await?)
    }

    /// Delivers a mail in the trace of what it is about.
    async fn deliver_in_trace(&self, mailer: &dyn Mailer, mail: &DueMail) -> Result<(), StoreError> {
        let parent = mail.trace.as_deref().map(Parent::of_traceparent).unwrap_or_default();
        let span = tracing::info_span!("mail", otel.kind = "producer", notification = %mail.id, user_id = %mail.user);
        trace::follow(parent, span, self.deliver(mailer, mail)).await
    }

    async fn deliver(&self, mailer: &dyn Mailer, mail: &DueMail) -> Result<(), StoreError> {
        if let Some(recipient) = &mail.recipient
            && !is_wanted(mail.kind, &mail.content, recipient.preferences)
        {
            return self.end(mail, MailState::OptedOut).await;
        }
        if mail.priority == Priority::Standard {
            if mail.queued_for > STANDARD_WAIT_MAX {
                return self.end(mail, MailState::Expired).await;
            }
            // A repetition has taken its tokens before: a server that is away must not use them up.
            if mail.attempt.number == 1
                && let Some(wait) = self.store.take_tokens(mail.user, &self.settings.limits).await?
            {
                return self.store.postpone_mail(mail, Postponement { wait, failure: None }).await;
            }
        }
        let started = Instant::now();
        let sent = match self.prepare(mail) {
            Ok(outgoing) => match tokio::time::timeout(SEND_TIME_MAX, mailer.send(&outgoing)).await {
                Ok(sent) => sent,
                Err(_) => Err(MailFailure::NotNow(format!("no answer within {} s", SEND_TIME_MAX.as_secs()))),
            },
            Err(failure) => Err(failure),
        };
        let seconds = started.elapsed().as_secs_f64();
        metrics::histogram!("notification_processing_duration_seconds", "priority" => mail.priority.as_str())
            .record(seconds);
        match sent {
            Ok(()) => self.end(mail, MailState::Sent).await,
            Err(failure) => self.fail(mail, &failure).await,
        }
    }

    fn prepare(&self, mail: &DueMail) -> Result<OutgoingMail, MailFailure> {
        let recipient = mail.recipient.as_ref();
        let address = mail.content.address().or(recipient.map(|recipient| recipient.email.as_str()));
        let to = address.ok_or(MailFailure::UnknownRecipient)?.to_owned();
        let name = recipient.and_then(|recipient| recipient.name.as_deref());
        let name = name.map(|name| one_line(name, NAME_CHARS_MAX)).filter(|name| !name.is_empty());
        let name = name.filter(|_| !mail.content.is_for_unconfirmed_address());
        let reset = mail.content.password_reset().map(|id| self.tokens.password_reset(id));
        let token = reset.or_else(|| mail.content.email_change().map(|id| self.tokens.email_change(id)));
        let frame = Frame {
            links: &self.settings.links,
            name: name.as_deref(),
            optional: mail.priority == Priority::Standard,
            tracking: mail.tracking,
            token: token.as_deref(),
        };
        let rendered = render(&mail.content, frame).map_err(|error| MailFailure::NotNow(error.to_string()))?;
        Ok(OutgoingMail { id: mail.id, to, name, rendered })
    }

    async fn end(&self, mail: &DueMail, state: MailState) -> Result<(), StoreError> {
        let ended = self.store.end_mail(mail, state).await?;
        if !ended {
            tracing::warn!(notification = %mail.id, "a mail was ended after its lease: it may be sent again, with its Message-ID");
        }
        let (priority, outcome) = (mail.priority.as_str(), state.as_str());
        metrics::counter!("email_total", "priority" => priority, "outcome" => outcome).increment(1);
        Ok(())
    }

    async fn fail(&self, mail: &DueMail, failure: &MailFailure) -> Result<(), StoreError> {
        let (attempts, priority) = (mail.attempt.number, mail.priority.as_str());
        metrics::counter!("email_delivery_failures_total", "priority" => priority, "reason" => reason(failure))
            .increment(1);
        if verdict(mail.priority, mail.attempt, failure) == Verdict::GiveUp {
            tracing::error!(notification = %mail.id, attempts, reason = %failure, "gave a mail up: it is a dead letter now");
            self.store.give_up_mail(mail, failure).await?;
            return Ok(());
        }
        if attempts == 1 {
            tracing::warn!(notification = %mail.id, reason = %failure, "a mail was not sent and waits in the queue");
        }
        let failures = attempts.unsigned_abs();
        let wait = backoff(&*self.ids, failures, RETRY_WAIT_MIN, RETRY_WAIT_MAX);
        self.store.postpone_mail(mail, Postponement { wait, failure: Some(failure) }).await
    }
}

const fn reason(failure: &MailFailure) -> &'static str {
    match failure {
        MailFailure::UnknownRecipient => "unknown_recipient",
        MailFailure::NotNow(_) => "not_now",
        MailFailure::Refused(_) => "refused",
    }
}
