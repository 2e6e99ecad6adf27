//! The store in PostgreSQL. Independent of HTTP, Kafka and SMTP.
//!
//! No deadlock is possible: notifications are inserted in the order of their ids, recipients in the order of theirs; a lease
//! locks rows of the queue and skips locked ones; ending a mail and erasing a user lock rows of the queue and then
//! notifications; a campaign is locked before what it inserts; the end of a webhook's attempt locks its endpoint and then its
//! delivery.

mod campaigns;
mod dead_letters;
mod mails;
mod notifications;
mod recipients;
mod rows;
mod webhooks;

use std::sync::Arc;

use agora_postgres::Db;
use agora_vocab::{Epoch, Ids};

/// Notifications, mails and dead letters in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgNotifications {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl PgNotifications {
    /// Creates the store; `ids` generates ids of events and of tracked mails, and every event carries `epoch`.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }
}
