//! Open-loop load generator: visits start at a fixed rate, whether or not earlier visits have ended.
//!
//! Rate, duration and number of shoppers are limited. Must not depend on the invariant checker.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_api::{List, catalog::Product, user::Tokens};
use agora_vocab::ProductId;
use anyhow::{Context, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    Summary,
    buy::nonce,
    client::{Call, Reply, Shop},
    collect::StockSnapshot,
    history::{Action, History, Sent},
    journey::{Journey, Purpose, Visitor, choices},
    random::Random,
};

/// Maximum of visits per second.
pub const RATE_MAX: u32 = 1_000;
/// Maximum duration. Access tokens are valid for 900 s, including the time for registrations.
pub const SECONDS_MAX: u32 = 600;
/// Maximum of registered shoppers.
pub const SHOPPERS_MAX: u32 = 2_000;
/// Concurrent registrations and logins; password hashing is the shop's most expensive operation.
const LOGINS_AT_ONCE: usize = 2;
/// Time that running visits get to end after the last one was started.
const LAST_VISITS_SECONDS_MAX: u64 = 60;
const LOGIN_TRIES_MAX: usize = 20;
const LOGIN_PAUSE: Duration = Duration::from_millis(250);
/// Share of successful requests with a key that are sent once more with the same key, in percent.
const DUPLICATE_PERCENT: usize = 5;

/// Login of an admin.
#[derive(Clone, Debug)]
pub struct AdminLogin {
    pub email: String,
    pub password: agora_vocab::Secret,
}

/// The amount and kind of load.
#[derive(Clone, Debug)]
pub struct LoadProfile {
    /// Visits started per second.
    pub rate: u32,
    /// Duration in seconds.
    pub seconds: u32,
    /// Number of shoppers; each makes one visit at a time.
    pub shoppers: u32,
    /// Seed of the random choices.
    pub seed: u64,
    /// Every visit is the shortest complete purchase, instead of a mixture.
    pub only_buy: bool,
    /// Registers one additional shopper per second.
    pub registrations: bool,
    /// Login of an admin, who refunds payments and lists all orders. Without it there are no refunds, and stock is not
    /// checked.
    pub admin: Option<AdminLogin>,
}

/// The result of a load.
#[derive(Debug)]
pub struct Run {
    pub history: History,
    /// Counts and latencies.
    pub summary: Summary,
    /// The shoppers, still logged in.
    pub visitors: Vec<Visitor>,
    /// The products before the first visit.
    pub products: Vec<Product>,
    /// Stock before the first visit, and the admin's token to read it again.
    pub(crate) stock_before: Option<(StockSnapshot, String)>,
}

impl LoadProfile {
    pub(crate) fn checked(&self) -> anyhow::Result<()> {
        let within = |value: u32, most: u32, what: &str| match value {
            0 => bail!("{what} must be at least 1"),
            value if value > most => bail!("{what} must be at most {most}"),
            _ => Ok(()),
        };
        within(self.rate, RATE_MAX, "--rate")?;
        within(self.seconds, SECONDS_MAX, "--seconds")?;
        within(self.shoppers, SHOPPERS_MAX, "--shoppers")
    }
}

/// Registers the shoppers, then starts their visits at the rate of the load profile.
pub async fn run(shop: &Shop, load: &LoadProfile) -> anyhow::Result<Run> {
    load.checked()?;
    let (history, name) = (History::default(), nonce());
    let products = products(shop).await?;
    if choices(&products).is_empty() {
        bail!("no product has stock; run `agora seed` first");
    }
    let stock_before = match &load.admin {
        Some(admin) => {
            let token = log_in(shop, &history, &admin.email, admin.password.expose()).await?.token;
            Some((StockSnapshot::read(shop, &token).await?, token))
        }
        None => None,
    };
    let visitors = register_all(shop, &history, &name, load.shoppers).await?;
    let generator = LoadGenerator {
        shop: shop.clone(),
        history: history.clone(),
        products: choices(&products).into(),
        admin: stock_before.as_ref().map(|(_, token)| token.as_str().into()),
        duplicate_percent: DUPLICATE_PERCENT,
        name,
    };
    let draw = |random: &mut Random| if load.only_buy { Purpose::BuyOne } else { Purpose::draw(random) };
    let summary = generator.visit(load, &visitors, draw).await;
    let summary = summary.of(&history.records());
    Ok(Run { history, summary, visitors, products, stock_before })
}

/// Registers and logs in `shoppers` users.
pub(crate) async fn register_all(
    shop: &Shop,
    history: &History,
    name: &str,
    shoppers: u32,
) -> anyhow::Result<Vec<Visitor>> {
    futures::stream::iter(0..shoppers)
        .map(|nth| register(shop, history, format!("{name}-{nth}")))
        .buffer_unordered(LOGINS_AT_ONCE)
        .try_collect()
        .await
}

/// All products of the shop.
pub async fn products(shop: &Shop) -> anyhow::Result<Vec<Product>> {
    const PAGES_MAX: usize = 100;
    let (mut products, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let reply = shop.send(&Call::get(format!("/products?limit=100{cursor}"))).await;
        let page: List<Product> = reply.success().with_context(|| format!("listing products: {}", reply.describe()))?;
        products.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(products)
}

/// Starts visits; its fields are common to all of them.
#[derive(Clone)]
pub(crate) struct LoadGenerator {
    pub shop: Shop,
    pub history: History,
    pub products: Arc<[ProductId]>,
    pub admin: Option<Arc<str>>,
    pub duplicate_percent: usize,
    pub name: String,
}

impl LoadGenerator {
    /// Registers `shoppers` users and prepares visits for products that have stock, without duplicate requests and without an
    /// admin.
    pub async fn prepare(shop: &Shop, shoppers: u32) -> anyhow::Result<(Self, Vec<Visitor>)> {
        let (history, name) = (History::default(), nonce());
        let products = choices(&products(shop).await?);
        if products.is_empty() {
            bail!("no product has stock; run `agora seed` first");
        }
        let visitors = register_all(shop, &history, &name, shoppers).await?;
        let (shop, products) = (shop.clone(), products.into());
        Ok((Self { shop, history, products, admin: None, duplicate_percent: 0, name }, visitors))
    }

    /// Starts a visit of a random kind at each tick.
    pub async fn visit(
        &self,
        load: &LoadProfile,
        visitors: &[Visitor],
        draw: impl Fn(&mut Random) -> Purpose,
    ) -> Summary {
        announce_start();
        let (mut summary, mut random, started) = (Summary::default(), Random::new(load.seed), Instant::now());
        let mut free: VecDeque<Visitor> = visitors.iter().cloned().collect();
        let mut visits: JoinSet<(Option<Visitor>, bool)> = JoinSet::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / load.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for tick in 0..u64::from(load.rate) * u64::from(load.seconds) {
            ticks.tick().await;
            while let Some(ended) = visits.try_join_next() {
                record_visit(&mut summary, &mut free, ended.ok(), started.elapsed());
            }
            if load.registrations && tick % u64::from(load.rate) == 0 {
                self.register_one_more(&mut visits, tick);
            }
            let (seed, purpose) = (random.next(), draw(&mut random));
            match free.pop_front() {
                Some(visitor) => {
                    summary.visits += 1;
                    visits.spawn(self.clone().run_visit(visitor, purpose, seed, tick));
                }
                None => summary.not_started += 1,
            }
        }
        let last = async {
            while let Some(ended) = visits.join_next().await {
                record_visit(&mut summary, &mut free, ended.ok(), started.elapsed());
            }
        };
        // Visits that still run are aborted; their pending requests are not in the history.
        let _ = tokio::time::timeout(Duration::from_secs(LAST_VISITS_SECONDS_MAX), last).await;
        summary.seconds = started.elapsed().as_secs_f64();
        summary
    }

    pub async fn run_visit(self, visitor: Visitor, purpose: Purpose, seed: u64, tick: u64) -> (Option<Visitor>, bool) {
        let journey = Journey {
            shop: &self.shop,
            visitor: &visitor,
            admin: self.admin.as_deref(),
            products: &self.products,
            history: &self.history,
            random: Random::new(seed),
            duplicate_percent: self.duplicate_percent,
            name: format!("{}-{tick}", self.name),
            seen_total: None,
        };
        let bought = journey.run(purpose).await;
        (Some(visitor), bought)
    }

    fn register_one_more(&self, visits: &mut JoinSet<(Option<Visitor>, bool)>, tick: u64) {
        let generator = self.clone();
        visits.spawn(async move {
            let _ = register(&generator.shop, &generator.history, format!("{}-more-{tick}", generator.name)).await;
            (None, false)
        });
    }
}

/// Prints the line from which a measurement beside the load counts its seconds.
pub(crate) fn announce_start() {
    eprintln!("load starts");
}

/// Counts an ended visit and appends its shopper to the queue of free shoppers.
fn record_visit(
    summary: &mut Summary,
    free: &mut VecDeque<Visitor>,
    ended: Option<(Option<Visitor>, bool)>,
    since_start: Duration,
) {
    let Some((visitor, bought)) = ended else { return };
    summary.add_visit(bought, since_start);
    free.extend(visitor);
}

async fn register(shop: &Shop, history: &History, name: String) -> anyhow::Result<Visitor> {
    let (email, password) = (format!("shopper-{name}@example.com"), format!("pass-{name}"));
    let register = Call::post("/auth/register", json!({ "email": email, "password": password }));
    let reply = send_with_retries(shop, history, Action::Register, &register).await;
    // 409: an earlier try registered the user, but its response was lost.
    if !matches!(reply.status(), Some(201 | 409)) {
        bail!("registering a shopper: {}", reply.describe());
    }
    log_in(shop, history, &email, &password).await
}

pub(crate) async fn log_in(shop: &Shop, history: &History, email: &str, password: &str) -> anyhow::Result<Visitor> {
    let login = Call::post("/auth/login", json!({ "email": email, "password": password }));
    let reply = send_with_retries(shop, history, Action::Login, &login).await;
    let tokens: Tokens = reply.success().with_context(|| format!("logging in: {}", reply.describe()))?;
    Ok(Visitor { user: tokens.user.id, token: tokens.access_token })
}

async fn send_with_retries(shop: &Shop, history: &History, action: Action, call: &Call<'_>) -> Reply {
    for _ in 1..LOGIN_TRIES_MAX {
        let reply = once(shop, history, action, call).await;
        if !reply.is_retryable() {
            return reply;
        }
        tokio::time::sleep(LOGIN_PAUSE).await;
    }
    once(shop, history, action, call).await
}

async fn once(shop: &Shop, history: &History, action: Action, call: &Call<'_>) -> Reply {
    let sent = Sent { user: None, action, key: None, order: None, at: Instant::now() };
    let reply = shop.send(call).await;
    history.note(sent, &reply);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_profile_has_limits() {
        let load = LoadProfile {
            rate: 1,
            seconds: 1,
            shoppers: 1,
            seed: 0,
            only_buy: false,
            registrations: false,
            admin: None,
        };
        assert!(load.checked().is_ok());
        for beyond in [
            LoadProfile { rate: RATE_MAX + 1, ..load.clone() },
            LoadProfile { rate: 0, ..load.clone() },
            LoadProfile { seconds: SECONDS_MAX + 1, ..load.clone() },
            LoadProfile { shoppers: SHOPPERS_MAX + 1, ..load.clone() },
            LoadProfile { shoppers: 0, ..load },
        ] {
            assert!(beyond.checked().is_err(), "{beyond:?}");
        }
    }
}
