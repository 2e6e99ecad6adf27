//! Ports of the use cases: the store, the mail server, the broker and the tokens of links. Independent of SQL, SMTP and HTTP.
//!
//! Every method that changes data is one transaction and may be repeated.

mod webhooks;

use std::time::Duration;

pub use agora_cipher::CipherError;
pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{EmailChangeId, NotificationId, Page, PageSize, PasswordResetId, PromotionId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{
    Attempt, Content, DeadLetter, Kind, LetterState, MailFailure, MailState, NewNotification, Notification, Priority,
    Promotion, RateLimits, Recipient, RecipientChange, Rendered, Revision,
};

pub use webhooks::{
    AttemptEnd, DueDelivery, Ended, NewSecret, OutgoingWebhook, Rotation, SecretCipher, StoredSecret,
    WebhookDeliveries, WebhookEndpoints, WebhookQueue, WebhookSecrets, WebhookSender, WebhookStore,
};

/// Everything that this service stores of notifications.
pub trait NotificationStore: Notifications + Recipients + Campaigns + MailQueue + DeadLetters {}

impl<T: Notifications + Recipients + Campaigns + MailQueue + DeadLetters> NotificationStore for T {}

/// What becomes of the mails of new notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailPolicy {
    /// Whether the shop has a mail server; otherwise mails are suppressed.
    pub enabled: bool,
    /// Whether opening a mail is noticed.
    pub tracked: bool,
}

/// Which notifications a list shows; `None`: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub user: Option<UserId>,
    pub kind: Option<Kind>,
    pub priority: Option<Priority>,
    pub read: Option<bool>,
    /// Words that subject or content contain.
    pub words: Option<String>,
}

/// Where a page of a list starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStart {
    /// After so many.
    Offset(u64),
    /// Before this one, by time and id.
    Before(OffsetDateTime, Uuid),
}

/// Notifications of users.
#[async_trait]
pub trait Notifications: Send + Sync + std::fmt::Debug {
    /// Stores notifications, each unless it is stored, and queues their mails. Returns how many are new.
    async fn store(&self, new: &[NewNotification], policy: MailPolicy) -> Result<u64, StoreError>;

    /// Stores one notification for a request. A duplicate of `dedup_key` returns the first one.
    async fn create(
        &self,
        new: &NewNotification,
        policy: MailPolicy,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Notification>, StoreError>;

    /// A page, newest first. `total` is counted for the notifications of one user from an offset.
    async fn page(&self, filter: &Filter, start: PageStart, size: PageSize) -> Result<Page<Notification>, StoreError>;

    /// Marks a notification of the user as read. `None` if the user has no such notification. Idempotent.
    async fn mark_read(&self, user: UserId, id: NotificationId) -> Result<Option<Notification>, StoreError>;

    /// Marks the user's unread notifications as read, those of a priority and with these ids. Returns how many.
    async fn mark_many(
        &self,
        user: UserId,
        priority: Option<Priority>,
        ids: Option<&[NotificationId]>,
    ) -> Result<u64, StoreError>;

    /// Notes that a mail was opened, the first time only. Does nothing for an unknown id.
    async fn mark_opened(&self, tracking: Uuid) -> Result<(), StoreError>;

    /// Deletes one batch of what is older than it is kept. Returns how many rows were deleted.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// Users as mails need them.
#[async_trait]
pub trait Recipients: Send + Sync + std::fmt::Debug {
    /// Stores what events say of users; the newest event of a user wins. Idempotent.
    async fn store_recipients(&self, changes: &[RecipientChange]) -> Result<(), StoreError>;

    /// Deletes what is stored about users whose erasure is the newest of their events: address and name, notifications, waiting
    /// mails. Nothing is stored for them afterwards, unless a newer event names their address. Idempotent.
    async fn erase_recipients(&self, erased: &[(UserId, Revision)]) -> Result<(), StoreError>;

    /// Where the user's mails go; `None` for an unknown or erased user.
    async fn find_recipient(&self, user: UserId) -> Result<Option<Recipient>, StoreError>;
}

/// Campaigns: promotions that the users who want them are notified of.
#[async_trait]
pub trait Campaigns: Send + Sync + std::fmt::Debug {
    /// Starts the campaign of a promotion that began at `at`, unless it is known.
    async fn start_campaign(&self, promotion: &Promotion, at: OffsetDateTime) -> Result<(), StoreError>;

    /// Ends a campaign, also before it started.
    async fn end_campaign(&self, promotion: PromotionId) -> Result<(), StoreError>;

    /// Notifies the next users of the campaign that waits longest. Returns how many; `None` if no campaign waits.
    async fn continue_campaign(&self, policy: MailPolicy) -> Result<Option<u64>, StoreError>;
}

/// A mail to send, leased to one process.
#[derive(Clone, Debug, PartialEq)]
pub struct DueMail {
    pub id: NotificationId,
    pub source: Uuid,
    pub user: UserId,
    pub kind: Kind,
    pub priority: Priority,
    pub content: Content,
    pub tracking: Option<Uuid>,
    /// `number` also identifies the lease.
    pub attempt: Attempt,
    /// W3C `traceparent` of what the mail is about.
    pub trace: Option<String>,
    /// Time since the mail was queued.
    pub queued_for: Duration,
    /// The user as of now; `None` if no event has named the user yet.
    pub recipient: Option<Recipient>,
}

/// When a mail is tried again, and why not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postponement<'a> {
    pub wait: Duration,
    /// The failed attempt; `None`: there was no token, and the attempt does not count.
    pub failure: Option<&'a MailFailure>,
}

/// The mails that are not sent yet.
#[async_trait]
pub trait MailQueue: Send + Sync + std::fmt::Debug {
    /// Leases mails of a priority that are due and counts the attempt. A lease ends by itself after `duration`.
    async fn lease_mails(&self, priority: Priority, limit: u16, duration: Duration)
    -> Result<Vec<DueMail>, StoreError>;

    /// Takes a token of the user and one of all users. Otherwise returns when to try again, and takes none.
    async fn take_tokens(&self, user: UserId, limits: &RateLimits) -> Result<Option<Duration>, StoreError>;

    /// Ends a leased mail. `false` if the lease was lost.
    async fn end_mail(&self, mail: &DueMail, state: MailState) -> Result<bool, StoreError>;

    /// Tries a leased mail again later. Does nothing if the lease was lost.
    async fn postpone_mail(&self, mail: &DueMail, postponement: Postponement<'_>) -> Result<(), StoreError>;

    /// Gives a leased mail up: it becomes a dead letter. `false` if the lease was lost.
    async fn give_up_mail(&self, mail: &DueMail, failure: &MailFailure) -> Result<bool, StoreError>;

    /// How many mails wait.
    async fn waiting_mails(&self) -> Result<u64, StoreError>;
}

/// Messages of every service and mails that were given up.
#[async_trait]
pub trait DeadLetters: Send + Sync + std::fmt::Debug {
    /// Stores a message that was given up, unless it is stored.
    async fn store_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError>;

    /// A page, newest first, without the messages.
    async fn page_of_dead_letters(
        &self,
        state: Option<LetterState>,
        before: Option<(OffsetDateTime, Uuid)>,
        size: PageSize,
    ) -> Result<Page<DeadLetter>, StoreError>;

    /// How many are open, counted up to a thousand.
    async fn open_dead_letters(&self) -> Result<u32, StoreError>;

    /// A dead letter with its message.
    async fn find_dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>, StoreError>;

    /// Notes what an admin decided about an open letter, and queues a replayed mail again. `false` if it is not open.
    async fn decide(&self, id: Uuid, decision: &Decision) -> Result<bool, StoreError>;
}

/// What an admin decided about a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Replayed or discarded.
    pub state: LetterState,
    pub by: UserId,
    /// The admin's reason.
    pub note: String,
}

/// A mail as it is given to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMail {
    /// Makes the Message-ID: a repetition has the same.
    pub id: NotificationId,
    pub to: String,
    pub name: Option<String>,
    pub rendered: Rendered,
}

/// The mail server.
#[async_trait]
pub trait Mailer: Send + Sync + std::fmt::Debug {
    /// Returns once the server has taken the mail.
    async fn send(&self, mail: &OutgoingMail) -> Result<(), MailFailure>;
}

/// The broker, for messages that are sent again.
#[async_trait]
pub trait Broker: Send + Sync + std::fmt::Debug {
    /// Sends a message to the topic of that bare name, and returns once the broker has it.
    async fn resend(&self, message: Resent) -> Result<(), BrokerError>;
}

/// A message that is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resent {
    pub topic: String,
    pub key: String,
    pub payload: Vec<u8>,
    pub trace: Option<String>,
}

/// The broker did not take a message. It may have been written all the same.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not take the message")]
pub struct BrokerError(#[source] pub agora_chassis::BoxError);

/// Tokens of links in mails.
pub trait LinkTokens: Send + Sync + std::fmt::Debug {
    /// The token by which a new password is set; the user service derives the same.
    fn password_reset(&self, id: PasswordResetId) -> String;

    /// The token by which a new e-mail address is confirmed; the user service derives the same.
    fn email_change(&self, id: EmailChangeId) -> String;
}
