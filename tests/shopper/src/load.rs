//! Many shoppers at a rate that does not wait for the shop: visits start when the clock says so, not when others end.
//!
//! Bounded in shoppers, rate and time, and only against this machine.

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
    collect::Books,
    history::{Action, History, Sent},
    journey::{Journey, Purpose, Visitor, choices},
    random::Random,
};

/// Visits a second.
pub const RATE_MAX: u32 = 1_000;
/// Access tokens live for 900 s, of which registering beforehand takes some.
pub const SECONDS_MAX: u32 = 600;
/// Registered beforehand.
pub const SHOPPERS_MAX: u32 = 2_000;
/// Hashing passwords is the shop's most expensive work.
const LOGINS_AT_ONCE: usize = 2;
/// How long visits under way may still take when the time is up.
const LAST_VISITS_SECONDS_MAX: u64 = 60;
const ENTER_TRIES_MAX: usize = 20;
const ENTER_PAUSE: Duration = Duration::from_millis(250);
/// Of 100 requests that succeeded, how many a crowd sends once more with the same key.
const NERVOUS_PERCENT: usize = 5;

/// Who refunds by hand.
#[derive(Clone, Debug)]
pub struct AdminLogin {
    /// His e-mail address.
    pub email: String,
    /// His password.
    pub password: agora_vocab::Secret,
}

/// How much of what.
#[derive(Clone, Debug)]
pub struct Load {
    /// Visits started each second.
    pub rate: u32,
    /// For how many seconds.
    pub seconds: u32,
    /// By how many shoppers, each in one visit at a time.
    pub shoppers: u32,
    /// Repeats the choices.
    pub seed: u64,
    /// Every visit is the shortest complete purchase, instead of a mixture.
    pub only_buy: bool,
    /// Registers one more shopper each second beside.
    pub registrations: bool,
    /// Who refunds by hand and sees everybody's orders; without him no visit is about that, and stock is not judged.
    pub admin: Option<AdminLogin>,
}

/// What a run leaves.
#[derive(Debug)]
pub struct Run {
    /// Every request.
    pub history: History,
    /// In numbers.
    pub summary: Summary,
    /// The shoppers, still logged in.
    pub visitors: Vec<Visitor>,
    /// The products before the first visit.
    pub products: Vec<Product>,
    /// What the admin saw before the first visit, and his token to look again.
    pub(crate) books: Option<(Books, String)>,
}

impl Load {
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

/// Registers the shoppers, then lets them visit.
pub async fn run(shop: &Shop, load: &Load) -> anyhow::Result<Run> {
    load.checked()?;
    let (history, name) = (History::default(), nonce());
    let products = products(shop).await?;
    if choices(&products).is_empty() {
        bail!("no product has stock; fill the shop with `agora seed` first");
    }
    let books = match &load.admin {
        Some(admin) => {
            let token = log_in(shop, &history, &admin.email, admin.password.expose()).await?.token;
            Some((Books::read(shop, &token).await?, token))
        }
        None => None,
    };
    let visitors = enter_all(shop, &history, &name, load.shoppers).await?;
    let crowd = Crowd {
        shop: shop.clone(),
        history: history.clone(),
        products: choices(&products).into(),
        admin: books.as_ref().map(|(_, token)| token.as_str().into()),
        nervous_percent: NERVOUS_PERCENT,
        name,
    };
    let draw = |random: &mut Random| if load.only_buy { Purpose::BuyOne } else { Purpose::draw(random) };
    let summary = crowd.visit(load, &visitors, draw).await;
    let summary = summary.of(&history.records());
    Ok(Run { history, summary, visitors, products, books })
}

/// Registers and logs in so many shoppers.
pub(crate) async fn enter_all(
    shop: &Shop,
    history: &History,
    name: &str,
    shoppers: u32,
) -> anyhow::Result<Vec<Visitor>> {
    futures::stream::iter(0..shoppers)
        .map(|nth| enter(shop, history, format!("{name}-{nth}")))
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

/// What all visits share.
#[derive(Clone)]
pub(crate) struct Crowd {
    pub shop: Shop,
    pub history: History,
    pub products: Arc<[ProductId]>,
    pub admin: Option<Arc<str>>,
    pub nervous_percent: usize,
    pub name: String,
}

impl Crowd {
    /// Starts a visit at each tick, each for what is drawn.
    pub async fn visit(&self, load: &Load, visitors: &[Visitor], draw: impl Fn(&mut Random) -> Purpose) -> Summary {
        let (mut summary, mut random, started) = (Summary::default(), Random::new(load.seed), Instant::now());
        let mut free: VecDeque<Visitor> = visitors.iter().cloned().collect();
        let mut visits: JoinSet<(Option<Visitor>, bool)> = JoinSet::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / load.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for tick in 0..u64::from(load.rate) * u64::from(load.seconds) {
            ticks.tick().await;
            while let Some(ended) = visits.try_join_next() {
                settle(&mut summary, &mut free, ended.ok());
            }
            if load.registrations && tick % u64::from(load.rate) == 0 {
                self.one_more(&mut visits, tick);
            }
            let (seed, purpose) = (random.next(), draw(&mut random));
            match free.pop_front() {
                Some(visitor) => {
                    summary.visits += 1;
                    visits.spawn(self.clone().one(visitor, purpose, seed, tick));
                }
                None => summary.not_started += 1,
            }
        }
        let last = async {
            while let Some(ended) = visits.join_next().await {
                settle(&mut summary, &mut free, ended.ok());
            }
        };
        // Visits that hang on are dropped: the requests that they had under way are not in the history.
        let _ = tokio::time::timeout(Duration::from_secs(LAST_VISITS_SECONDS_MAX), last).await;
        summary.seconds = started.elapsed().as_secs_f64();
        summary
    }

    async fn one(self, visitor: Visitor, purpose: Purpose, seed: u64, tick: u64) -> (Option<Visitor>, bool) {
        let journey = Journey {
            shop: &self.shop,
            visitor: &visitor,
            admin: self.admin.as_deref(),
            products: &self.products,
            history: &self.history,
            random: Random::new(seed),
            nervous_percent: self.nervous_percent,
            name: format!("{}-{tick}", self.name),
        };
        let bought = journey.go(purpose).await;
        (Some(visitor), bought)
    }

    fn one_more(&self, visits: &mut JoinSet<(Option<Visitor>, bool)>, tick: u64) {
        let crowd = self.clone();
        visits.spawn(async move {
            let _ = enter(&crowd.shop, &crowd.history, format!("{}-more-{tick}", crowd.name)).await;
            (None, false)
        });
    }
}

/// Who comes back waits behind those who are free already: shoppers take turns.
fn settle(summary: &mut Summary, free: &mut VecDeque<Visitor>, ended: Option<(Option<Visitor>, bool)>) {
    let Some((visitor, bought)) = ended else { return };
    summary.bought += u64::from(bought);
    free.extend(visitor);
}

async fn enter(shop: &Shop, history: &History, name: String) -> anyhow::Result<Visitor> {
    let (email, password) = (format!("shopper-{name}@example.com"), format!("pass-{name}"));
    let register = Call::post("/auth/register", json!({ "email": email, "password": password }));
    let reply = patient(shop, history, Action::Register, &register).await;
    // 409: an earlier try took effect and its answer was lost.
    if !matches!(reply.status(), Some(201 | 409)) {
        bail!("registering a shopper: {}", reply.describe());
    }
    log_in(shop, history, &email, &password).await
}

pub(crate) async fn log_in(shop: &Shop, history: &History, email: &str, password: &str) -> anyhow::Result<Visitor> {
    let login = Call::post("/auth/login", json!({ "email": email, "password": password }));
    let reply = patient(shop, history, Action::Login, &login).await;
    let tokens: Tokens = reply.success().with_context(|| format!("logging in: {}", reply.describe()))?;
    Ok(Visitor { user: tokens.user.id, token: tokens.access_token })
}

async fn patient(shop: &Shop, history: &History, action: Action, call: &Call<'_>) -> Reply {
    for _ in 1..ENTER_TRIES_MAX {
        let reply = once(shop, history, action, call).await;
        if !reply.may_be_repeated() {
            return reply;
        }
        tokio::time::sleep(ENTER_PAUSE).await;
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
    fn a_load_is_bounded() {
        let load =
            Load { rate: 1, seconds: 1, shoppers: 1, seed: 0, only_buy: false, registrations: false, admin: None };
        assert!(load.checked().is_ok());
        for beyond in [
            Load { rate: RATE_MAX + 1, ..load.clone() },
            Load { rate: 0, ..load.clone() },
            Load { seconds: SECONDS_MAX + 1, ..load.clone() },
            Load { shoppers: SHOPPERS_MAX + 1, ..load.clone() },
            Load { shoppers: 0, ..load },
        ] {
            assert!(beyond.checked().is_err(), "{beyond:?}");
        }
    }
}
