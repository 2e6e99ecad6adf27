//! The notification service over HTTP and by events, on a database and a mail server of its own.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, SystemClock, SystemIds, WatchedFile, WatchedSecret};
use agora_cipher::EnvelopeCipher;
use agora_events::{
    Envelope, Event,
    order::{Order, OrderEvent, OrderLine},
    recommendation::{FeedbackStats, RecommendationEvent, Recommendations, RecommendedProduct},
    user::{Account, Preferences, UserEvent},
};
use agora_kafka::Producer;
use agora_notification::{
    MIGRATIONS,
    clients::{
        broker::KafkaBroker,
        link_tokens::DerivedTokens,
        smtp::{Encryption, SmtpMailer, SmtpServer},
        webhooks::HttpWebhooks,
    },
    consumer::handle,
    domain::{Bucket, Links, Priority, RateLimits},
    http,
    ports::Mailer,
    postgres::PgNotifications,
    service::{NotificationService, Parts, Settings, WebhookParts, WebhookService},
};
use agora_outbound::foreign::{AddressPolicy, ForeignLimits, SystemResolver};
use agora_postgres::Db;
use agora_testkit::{MailServer, ReceivedMail, TestApp, TestDatabase, TestKeys};
use agora_vocab::{Clock as _, Currency, Epoch, Ids as _, Money, OrderId, ProductId, Role, SellerId, UserId};
use agora_web::TokenVerifier;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub const SECRET: &str = "only-for-tests";
pub const FROM: &str = "Shop <shop@shop.example>";
/// 32 bytes in Base64.
pub const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Limits of webhooks that a test can wait for.
const WEBHOOK_LIMITS: ForeignLimits = ForeignLimits {
    connect: Duration::from_millis(500),
    total: Duration::from_millis(1_500),
    answer_bytes_max: 8 << 10,
};
/// Mails that are sent in one go are far fewer.
const ROUNDS_MAX: usize = 200;

/// Limits that no test reaches by accident.
pub const GENEROUS: RateLimits = RateLimits {
    recipient: Bucket { burst: 1_000.0, per_second: 1_000.0 },
    overall: Bucket { burst: 1_000.0, per_second: 1_000.0 },
};

/// The service under test.
pub struct Shop {
    pub service: NotificationService,
    pub public: TestApp,
    pub smtp: MailServer,
    pub db: Db,
    pub server: TestDatabase,
    pub keys: TestKeys,
    pub admin: String,
    pub process: Process,
    policy: AddressPolicy,
}

/// How a shop differs from the usual one.
pub struct Options {
    pub mail: bool,
    pub open_tracking: bool,
    pub limits: RateLimits,
    /// Broker and isolation key; without one, nothing is sent to Kafka.
    pub kafka: Option<agora_kafka::Config>,
    /// Which addresses webhooks may be sent to.
    pub webhooks: AddressPolicy,
}

impl Default for Options {
    fn default() -> Self {
        Self { mail: true, open_tracking: false, limits: GENEROUS, kafka: None, webhooks: AddressPolicy::development() }
    }
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(Options::default()).await
    }

    pub async fn open_with(options: Options) -> Self {
        let server = agora_testkit::migrated_postgres(&MIGRATIONS).await;
        let db = Db::for_test(&server.url(), &MIGRATIONS).await;
        let (smtp, process) = (agora_testkit::mail_server().await, Process::for_test("notification"));
        let kafka = options.kafka.unwrap_or_else(|| agora_kafka::Config::plain("127.0.0.1:1", "nowhere"));
        let parts = Parts {
            store: Arc::new(PgNotifications::new(db.clone(), Arc::new(SystemIds), Epoch::default())),
            mailer: options.mail.then(|| mailer(&smtp, Encryption::None, &process)),
            broker: Arc::new(KafkaBroker(Producer::new(&kafka))),
            tokens: Arc::new(DerivedTokens(WatchedSecret::fixed(SECRET))),
            ids: Arc::new(SystemIds),
            webhooks: webhook_parts(&db, options.webhooks.clone(), ENCRYPTION_KEY, None),
        };
        let links = Links { public_url: Some("https://shop.example".into()) };
        let settings = Settings { links, open_tracking: options.open_tracking, limits: options.limits };
        let service = NotificationService::new(parts, settings);
        let keys = TestKeys::new();
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let public = TestApp::of("notification", http::routers(service.clone(), verifier, &process).public);
        let admin = keys.token(user(), &[Role::Admin]);
        Self { service, public, smtp, db, server, keys, admin, process, policy: options.webhooks }
    }

    /// The webhooks of another process of the shop, with these encryption keys.
    pub fn replica(&self, key: &str, previous: Option<&str>) -> WebhookService {
        WebhookService::new(webhook_parts(&self.db, self.policy.clone(), key, previous), Arc::new(SystemIds))
    }

    pub fn token(&self, user: UserId) -> String {
        self.keys.token(user, &[Role::Customer])
    }

    /// Delivers the event twice, as the broker may.
    pub async fn deliver<E: Event>(&self, event: &E) {
        let envelope = envelope(event, 1);
        self.deliver_all(vec![envelope.clone()]).await;
        self.deliver_all(vec![envelope]).await;
    }

    pub async fn deliver_all(&self, envelopes: Vec<Envelope>) {
        handle(self.service.clone(), envelopes).await.unwrap();
    }

    /// Registers a user who wants every mail, and sends the welcome.
    pub async fn register(&self, name: &str) -> UserId {
        self.register_with(name, Preferences::default()).await
    }

    pub async fn register_with(&self, name: &str, preferences: Preferences) -> UserId {
        let user_id = user();
        self.deliver(&UserEvent::Registered(account(user_id, name, preferences))).await;
        self.send().await;
        user_id
    }

    /// Sends every mail that is due.
    pub async fn send(&self) {
        for priority in [Priority::Critical, Priority::Standard] {
            for round in 0.. {
                assert!(round < ROUNDS_MAX, "mails are due without end");
                if self.service.send_due(priority).await.unwrap() == 0 {
                    break;
                }
            }
        }
    }

    /// Makes every waiting mail due now.
    pub async fn skip_waits(&self) {
        self.execute("update mail_queue set due_at = now() - interval '1 second'").await;
    }

    pub async fn execute(&self, sql: &str) {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *connection).await.unwrap();
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *connection).await.unwrap()
    }

    /// The rows of a statement with one column of text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *connection).await.unwrap()
    }

    /// The mails to an address, in the order of arrival.
    pub fn mails_to(&self, address: &str) -> Vec<ReceivedMail> {
        self.smtp.mails().into_iter().filter(|mail| mail.to == [address]).collect()
    }

    /// Subjects of the mails to an address.
    pub fn subjects(&self, address: &str) -> Vec<String> {
        self.mails_to(address).iter().map(|mail| mail.header("subject")).collect()
    }

    /// The user's list.
    pub async fn list(&self, user: UserId, query: &str) -> Value {
        let path = format!("/api/v1/notifications{query}");
        self.public.get(&path).with(&self.token(user)).await.expect(200).body
    }
}

fn webhook_parts(db: &Db, policy: AddressPolicy, key: &str, previous: Option<&str>) -> WebhookParts {
    let resolver = Arc::new(SystemResolver::default());
    let sender = HttpWebhooks::with_limits(policy, resolver, Arc::new(SystemClock), WEBHOOK_LIMITS).unwrap();
    WebhookParts {
        store: Arc::new(PgNotifications::new(db.clone(), Arc::new(SystemIds), Epoch::default())),
        cipher: Arc::new(EnvelopeCipher::new(WatchedSecret::fixed(key), previous.map(WatchedSecret::fixed))),
        sender: Arc::new(sender),
    }
}

/// A client of the mail server.
pub fn mailer(smtp: &MailServer, encryption: Encryption, process: &Process) -> Arc<dyn Mailer> {
    let server = SmtpServer {
        host: "127.0.0.1".into(),
        port: smtp.port(),
        encryption,
        ca: None,
        login: None,
        from: FROM.parse().unwrap(),
    };
    Arc::new(SmtpMailer::new(server, process.dependency("smtp")))
}

pub fn fresh() -> Uuid {
    SystemIds.next()
}

pub fn user() -> UserId {
    UserId::new(fresh())
}

pub fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

/// An event of now.
pub fn envelope<E: Event>(event: &E, seq: i64) -> Envelope {
    Envelope { time: SystemClock.now(), seq, ..agora_testkit::envelope(fresh(), fresh().to_string(), event) }
}

/// The account of a user whose address is the name's.
pub fn account(user_id: UserId, name: &str, preferences: Preferences) -> Account {
    Account { user_id, email: address(name), name: Some(name.to_owned()), preferences, blocked: false }
}

pub fn address(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase())
}

pub fn order(user_id: UserId) -> Order {
    Order {
        order_id: OrderId::new(fresh()),
        number: "A-1000001".into(),
        user_id,
        cart_id: None,
        hold: 1,
        payment_id: None,
        status: "pending".into(),
        payment_status: "unpaid".into(),
        items: vec![OrderLine {
            product_id: ProductId::new(fresh()),
            variant: String::new(),
            name: "Desk lamp".into(),
            quantity: 2,
            price: eur(1999),
            category: None,
            seller_id: SellerId::HOUSE,
        }],
        total: eur(3998),
        charges: None,
    }
}

pub fn placed(user: UserId) -> OrderEvent {
    OrderEvent::Placed(order(user))
}

/// One product is recommended to a user.
pub fn recommended(user_id: UserId) -> RecommendationEvent {
    RecommendationEvent::Changed(Recommendations {
        user_id,
        version: 1,
        recommendations: vec![RecommendedProduct {
            product_id: ProductId::new(fresh()),
            name: "Bulb".into(),
            price: eur(349),
            category: None,
            image_url: None,
            feedback_stats: FeedbackStats { positive_count: 0, negative_count: 0 },
            reason: "popular".into(),
        }],
    })
}

/// Waits until something holds, within a minute.
pub async fn until(what: &str, done: impl AsyncFn() -> bool) {
    const PATIENCE: Duration = Duration::from_mins(1);
    let wait = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what}: not in {PATIENCE:?}");
}
