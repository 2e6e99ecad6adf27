//! The notification service: notifies users of what happened, in a list and by mail, and keeps what other services gave up.
//!
//! This file is the composition root and the only one that depends on every module of the service.

pub mod clients;
pub mod config;
pub mod consumer;
mod crypto;
pub mod domain;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod service;
pub mod worker;

use std::sync::Arc;

use agora_chassis::{Ports, Process, Routers, Started, settings};
use agora_cipher::EnvelopeCipher;
use agora_kafka::Producer;
use agora_outbound::foreign::SystemResolver;
use agora_vocab::Flag;
use futures::{FutureExt as _, future::BoxFuture};

pub use config::Config;

use crate::{
    clients::{
        broker::KafkaBroker,
        link_tokens::DerivedTokens,
        smtp::{Encryption, SmtpMailer, SmtpServer},
        webhooks::HttpWebhooks,
    },
    config::{PublicUrl, Smtp, SmtpTls, Switch},
    domain::{Links, Priority, RateLimits},
    ports::Mailer,
    postgres::PgNotifications,
    service::{NotificationService, Parts, Settings, WebhookParts},
};

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Builds the ports and routers. Returns without waiting for the database, the brokers or the mail server.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    async move { build(settings(process.service(), Config::read)?, &process).await }.boxed()
}

async fn build(config: Config, process: &Process) -> anyhow::Result<(Ports, Routers)> {
    let db = agora_postgres::connect(&config.postgres, &MIGRATIONS, process).await;
    let producer = Producer::new(&config.kafka);
    let store = Arc::new(PgNotifications::new(db.clone(), process.ids(), config.epoch));
    let resolver = Arc::new(SystemResolver::default());
    let webhooks = WebhookParts {
        store: store.clone(),
        cipher: Arc::new(EnvelopeCipher::new(config.encryption_key, config.previous_encryption_key)),
        sender: Arc::new(HttpWebhooks::new(config.webhook_addresses, resolver, process.clock())?),
    };
    let parts = Parts {
        store,
        mailer: mailer(config.smtp, process),
        broker: Arc::new(KafkaBroker(producer.clone())),
        tokens: Arc::new(DerivedTokens(config.internal_secret)),
        ids: process.ids(),
        webhooks,
    };
    let settings = Settings {
        links: Links { public_url: config.public_url.map(|PublicUrl(url)| url) },
        open_tracking: config.open_tracking == Switch::Enabled,
        limits: RateLimits::DEFAULT,
    };
    let service = NotificationService::new(parts, settings);

    agora_outbox::relay(db.clone(), producer, process);
    agora_outbox::sweep(db.clone(), process);
    for (consumer, topics) in consumer::GROUPS {
        let reader = service.clone();
        agora_outbox::consume(db.clone(), &config.kafka, consumer, topics, process, move |envelopes| {
            consumer::handle(reader.clone(), envelopes).boxed()
        });
    }
    work(&service, process);

    let verifier = config.tokens.verifier(process);
    Ok((config.ports, http::routers(service, verifier, process)))
}

fn work(service: &NotificationService, process: &Process) {
    let tasks = [
        ("mails-critical", Some(Priority::Critical)),
        ("mails-standard", Some(Priority::Standard)),
        ("campaigns", None),
    ];
    for (name, priority) in tasks {
        let (service, shutdown) = (service.clone(), process.shutdown());
        let what = (priority, process.flag(Flag::SendStandardMails));
        process.supervise(name, move || worker::run(service.clone(), what.clone(), shutdown.clone()));
    }
    let (webhooks, shutdown) = (service.webhooks().clone(), process.shutdown());
    process.supervise("webhooks", move || worker::send_webhooks(webhooks.clone(), shutdown.clone()));
    let (service, shutdown) = (service.clone(), process.shutdown());
    process.supervise("notifications-sweep", move || worker::sweep(service.clone(), shutdown.clone()));
}

/// The mail server; without one, mails are suppressed, which `/info` says.
fn mailer(smtp: Option<Smtp>, process: &Process) -> Option<Arc<dyn Mailer>> {
    let Some(Smtp { host, port, tls, ca, login, from }) = smtp else {
        process.note("mail", "suppressed: no mail server is set (SMTP_HOST, spec.mail); notifications are listed only");
        return None;
    };
    process.note("mail", format!("sent by {host}:{port}"));
    let encryption = match tls {
        SmtpTls::Disable => Encryption::None,
        SmtpTls::StartTls => Encryption::StartTls,
        SmtpTls::Implicit => Encryption::Implicit,
    };
    let server = SmtpServer { host, port, encryption, ca, login, from };
    Some(Arc::new(SmtpMailer::new(server, process.dependency("smtp"))))
}
