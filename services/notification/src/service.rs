//! Use cases of notifications. Depends on the domain and the ports, never on HTTP, SQL or SMTP.

mod dead_letters;
mod send;
mod webhooks;

use std::{fmt, sync::Arc};

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Ids, NotificationId, Page, PageSize, UserId};
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

pub use dead_letters::LetterError;
pub use webhooks::{
    AT_ONCE_MAX, EndpointDraft, EndpointWithSecret, Redriven, WebhookError, WebhookParts, WebhookService,
};

use crate::{
    domain::{
        Content, DeadLetter, Frame, Generic, Kind, Links, NewNotification, Notification, Priority, Promotion,
        RateLimits, RecipientChange, Rendered, Revision, Template, render, sample, webhook::WebhookEvent,
    },
    ports::{Broker, Filter, LinkTokens, MailPolicy, Mailer, NotificationStore, PageStart, StoreError},
};

/// Runs the use cases. Clones share the same stores.
#[derive(Clone)]
pub struct NotificationService {
    store: Arc<dyn NotificationStore>,
    /// `None`: the shop has no mail server.
    mailer: Option<Arc<dyn Mailer>>,
    broker: Arc<dyn Broker>,
    tokens: Arc<dyn LinkTokens>,
    ids: Arc<dyn Ids>,
    settings: Arc<Settings>,
    webhooks: WebhookService,
    /// Changes when mails were queued by this process.
    queued: watch::Sender<()>,
}

/// What the service needs of others.
#[derive(Clone, Debug)]
pub struct Parts {
    pub store: Arc<dyn NotificationStore>,
    /// `None`: mails are suppressed.
    pub mailer: Option<Arc<dyn Mailer>>,
    pub broker: Arc<dyn Broker>,
    pub tokens: Arc<dyn LinkTokens>,
    pub ids: Arc<dyn Ids>,
    pub webhooks: WebhookParts,
}

/// Settings of the use cases.
#[derive(Clone, Debug)]
pub struct Settings {
    pub links: Links,
    /// Whether opening a mail is noticed.
    pub open_tracking: bool,
    /// Limits of standard mails.
    pub limits: RateLimits,
}

/// What a batch of events changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    pub recipients: Vec<RecipientChange>,
    /// Users who were erased, and the places of these events among those of each user.
    pub erased: Vec<(UserId, Revision)>,
    pub notifications: Vec<NewNotification>,
    /// In the order of the events.
    pub campaigns: Vec<CampaignEffect>,
    pub dead_letters: Vec<DeadLetter>,
    /// Events in their public form.
    pub webhooks: Vec<WebhookEvent>,
}

/// What an event changes about a campaign.
#[derive(Clone, Debug, PartialEq)]
pub enum CampaignEffect {
    Start(Promotion, OffsetDateTime),
    End(agora_vocab::PromotionId),
}

/// A notification that an admin writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub user: UserId,
    pub kind: Kind,
    pub priority: Priority,
    pub subject: String,
    pub text: String,
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or belongs to another user.
    #[error("it does not exist for this user")]
    NotFound,
    /// No event has named the user.
    #[error("the user is not known")]
    UnknownUser,
    /// A template could not be filled.
    #[error("the template was not filled")]
    Template(#[source] agora_chassis::BoxError),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Debug for NotificationService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotificationService").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl NotificationService {
    /// Creates the service on these ports.
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let Parts { store, mailer, broker, tokens, ids, webhooks } = parts;
        let (settings, webhooks) = (Arc::new(settings), WebhookService::new(webhooks, ids.clone()));
        Self { store, mailer, broker, tokens, ids, settings, webhooks, queued: watch::Sender::new(()) }
    }

    /// Applies what a batch of events changes. Idempotent; after a failure, the same effects may be applied again.
    pub async fn apply(&self, effects: Effects) -> Result<(), Error> {
        let Effects { recipients, erased, notifications, campaigns, dead_letters, webhooks } = effects;
        if !recipients.is_empty() {
            self.store.store_recipients(&recipients).await?;
        }
        if !erased.is_empty() {
            self.store.erase_recipients(&erased).await?;
        }
        // After the erasures: nothing is stored for an erased user.
        if !notifications.is_empty() {
            self.store.store(&notifications, self.policy()).await?;
        }
        for campaign in &campaigns {
            match campaign {
                CampaignEffect::Start(promotion, at) => self.store.start_campaign(promotion, *at).await?,
                CampaignEffect::End(promotion) => self.store.end_campaign(*promotion).await?,
            }
        }
        for letter in &dead_letters {
            self.store.store_dead_letter(letter).await?;
        }
        self.webhooks.store_events(&webhooks).await?;
        self.queued.send_replace(());
        Ok(())
    }

    /// The use cases of webhooks.
    pub fn webhooks(&self) -> &WebhookService {
        &self.webhooks
    }

    /// Changes when mails may have been queued by this process.
    pub fn queued(&self) -> watch::Receiver<()> {
        self.queued.subscribe()
    }

    /// Whether the shop has a mail server.
    pub fn sends_mails(&self) -> bool {
        self.mailer.is_some()
    }

    /// A page of notifications, newest first.
    pub async fn page(&self, filter: &Filter, start: PageStart, size: PageSize) -> Result<Page<Notification>, Error> {
        Ok(self.store.page(filter, start, size).await?)
    }

    /// Marks a notification of the user as read. Idempotent.
    pub async fn mark_read(&self, user: UserId, id: NotificationId) -> Result<Notification, Error> {
        self.store.mark_read(user, id).await?.ok_or(Error::NotFound)
    }

    /// Marks the user's unread notifications as read: those of a priority and with these ids. Returns how many.
    pub async fn mark_many(
        &self,
        user: UserId,
        priority: Option<Priority>,
        ids: Option<&[NotificationId]>,
    ) -> Result<u64, Error> {
        Ok(self.store.mark_many(user, priority, ids).await?)
    }

    /// Notes that a mail was opened. Does nothing for an unknown id.
    pub async fn opened(&self, tracking: Uuid) -> Result<(), Error> {
        if self.settings.open_tracking { Ok(self.store.mark_opened(tracking).await?) } else { Ok(()) }
    }

    /// Creates a notification that an admin wrote. A duplicate of `dedup_key` returns the first one.
    pub async fn create(
        &self,
        draft: Draft,
        at: OffsetDateTime,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Notification>, Error> {
        let Draft { user, kind, priority, subject, text, metadata } = draft;
        if self.store.find_recipient(user).await?.is_none() {
            return Err(Error::UnknownUser);
        }
        let content = Content::Generic(Generic { subject, text });
        let new = NewNotification { source: self.ids.next(), user, kind, priority, content, metadata, at };
        let created = self.store.create(&new, self.policy(), dedup_key).await?;
        self.queued.send_replace(());
        Ok(created)
    }

    /// A template filled with a sample.
    pub fn preview(&self, template: Template) -> Result<Rendered, Error> {
        let frame = Frame {
            links: &self.settings.links,
            name: Some("Ada"),
            optional: matches!(template, Template::Promotion | Template::Recommendation),
            tracking: None,
            token: None,
        };
        render(&sample(template), frame).map_err(|error| Error::Template(error.into()))
    }

    /// Notifies the next users of a campaign. Returns how many; `None` if no campaign waits.
    pub async fn continue_campaign(&self) -> Result<Option<u64>, Error> {
        let notified = self.store.continue_campaign(self.policy()).await?;
        if notified.is_some_and(|notified| notified > 0) {
            self.queued.send_replace(());
        }
        Ok(notified)
    }

    /// Deletes what is older than it is kept. Returns how many rows were deleted.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            match self.store.sweep().await? {
                0 => return Ok(deleted),
                batch => deleted += batch,
            }
        }
    }

    fn policy(&self) -> MailPolicy {
        MailPolicy { enabled: self.mailer.is_some(), tracked: self.settings.open_tracking }
    }
}
