//! Results computed again: after orders, by schedule, on request, by one instance at a time; and their events.

use std::{sync::Arc, time::Duration};

use agora_events::{Envelope, recommendation::RecommendationEvent};
use agora_recommendation::ports::{Progress, Recomputations as _, Results as _};
use agora_vocab::UserId;
use futures::future::join_all;
use serde_json::{Value, json, value::RawValue};
use sqlx::types::Json;
use uuid::Uuid;

use crate::shop::{RECOMPUTE_EVERY, Shop, created, fresh, stock, user};

const RECOMPUTATION: &str = "/api/v1/admin/recommendations/recomputation";

/// The names of the products in each event in the outbox, with its sequence number.
async fn events(shop: &Shop) -> Vec<(i64, Vec<String>)> {
    const EVENTS: &str = "select kind, seq, data from outbox where topic = 'recommendation-events' order by id";
    let mut connection = shop.db.acquire().await.unwrap();
    let rows: Vec<(String, i64, Json<Box<RawValue>>)> =
        sqlx::query_as(EVENTS).fetch_all(&mut *connection).await.unwrap();
    let read = |(kind, seq, Json(data)): (String, i64, Json<Box<RawValue>>)| {
        let template = agora_testkit::envelope(fresh(), "k", &empty());
        let envelope = Envelope { kind, data, ..template };
        let Some(RecommendationEvent::Changed(changed)) = envelope.event().unwrap() else { panic!("another event") };
        assert_eq!(changed.version, seq);
        (seq, changed.recommendations.into_iter().map(|product| product.name).collect())
    };
    rows.into_iter().map(read).collect()
}

fn empty() -> RecommendationEvent {
    let nothing = json!({"userId": user(), "version": 1, "recommendations": []});
    RecommendationEvent::Changed(serde_json::from_value(nothing).unwrap())
}

/// Runs everything that is due and every run over all users that is to start, as the worker of this instance does.
async fn work(shop: &Shop, instance: Uuid) {
    while shop.service.compute_due().await.unwrap() > 0 {}
    while shop.service.continue_recomputation(instance).await.unwrap() {}
}

async fn state(shop: &Shop) -> Value {
    shop.public.get(RECOMPUTATION).with(&shop.admin()).await.expect(200).body
}

/// The schedule's time has come.
async fn let_time_pass(shop: &Shop) {
    shop.execute("update recomputation set finished_at = finished_at - interval '1 hour'").await;
}

#[tokio::test]
async fn re3_an_order_makes_its_users_result_due_and_re12_each_change_is_one_event() {
    let shop = Shop::open().await;
    let instance = fresh();
    let (lamp, torch) = (shop.sell("Lamp", "Lighting").await, shop.sell("Torch", "Lighting").await);
    shop.sell("Candle", "Lighting").await;
    work(&shop, instance).await;
    assert_eq!(events(&shop).await, [], "nobody bought anything");

    shop.buy(shop.me, &[lamp]).await;
    work(&shop, instance).await;
    work(&shop, instance).await;
    let first = (1, vec!["Torch".to_owned(), "Candle".to_owned()]);
    assert_eq!(events(&shop).await, std::slice::from_ref(&first));

    shop.buy(shop.me, &[torch]).await;
    work(&shop, instance).await;
    let second = (2, vec!["Candle".to_owned()]);
    assert_eq!(events(&shop).await, [first, second]);
    assert_eq!(shop.count("select count(*) from recommendation where due_at is not null").await, 0);
}

#[tokio::test]
async fn re4_by_schedule_everybodys_results_are_computed_again() {
    let shop = Shop::open().await;
    let instance = fresh();
    let lamp = shop.sell("Lamp", "Lighting").await;
    let users: Vec<_> = (0..120).map(|_| user()).collect();
    for who in &users {
        shop.buy(*who, &[lamp]).await;
    }
    work(&shop, instance).await;
    assert_eq!(events(&shop).await.len(), 0, "there is nothing to recommend");
    shop.sell("Torch", "Lighting").await;
    work(&shop, instance).await;
    assert_eq!(events(&shop).await.len(), 0, "its time has not come");

    let_time_pass(&shop).await;
    work(&shop, instance).await;
    assert_eq!(events(&shop).await.len(), users.len());
    let state = state(&shop).await;
    assert_eq!((&state["state"], &state["users"], &state["changed"]), (&json!("scheduled"), &json!(120), &json!(120)));

    let_time_pass(&shop).await;
    work(&shop, instance).await;
    let body = shop.public.get(RECOMPUTATION).with(&shop.admin()).await.expect(200).body;
    assert_eq!(
        (&body["users"], &body["changed"]),
        (&json!(120), &json!(0)),
        "for changes that the last run did not see"
    );
    let started_at = body["startedAt"].clone();
    let_time_pass(&shop).await;
    work(&shop, instance).await;
    let body = shop.public.get(RECOMPUTATION).with(&shop.admin()).await.expect(200).body;
    assert_eq!(body["startedAt"], started_at, "nothing changed, so that no run starts");
    shop.deliver(&[created(lamp, 2, "Better lamp", "Lighting")]).await;
    work(&shop, instance).await;
    let body = shop.public.get(RECOMPUTATION).with(&shop.admin()).await.expect(200).body;
    assert_ne!(body["startedAt"], started_at);
    assert_eq!(events(&shop).await.len(), users.len(), "nobody is recommended another product");
}

#[tokio::test]
async fn re5_an_administrator_starts_a_run_and_sees_its_end() {
    let shop = Shop::open().await;
    let instance = fresh();
    let lamp = shop.sell("Lamp", "Lighting").await;
    shop.buy(shop.me, &[lamp]).await;
    work(&shop, instance).await;
    assert_eq!(state(&shop).await["state"], "scheduled");
    shop.sell("Torch", "Lighting").await;

    for _ in 0..2 {
        let answer = shop.public.post(RECOMPUTATION, json!({})).with(&shop.admin()).await.expect(202);
        assert_eq!(answer.body["state"], "requested");
    }
    work(&shop, instance).await;
    assert_eq!(events(&shop).await, [(1, vec!["Torch".to_owned()])]);
    let state = state(&shop).await;
    assert_eq!((&state["state"], &state["changed"]), (&json!("scheduled"), &json!(1)));
}

#[tokio::test]
async fn a_run_that_is_requested_while_another_runs_follows_it() {
    let shop = Shop::open().await;
    let (store, instance) = (&shop.store, fresh());
    assert_eq!(store.lead(instance, RECOMPUTE_EVERY).await.unwrap(), Some(UserId::new(Uuid::nil())));
    let requested = store.request(RECOMPUTE_EVERY).await.unwrap();
    assert!(requested.running && requested.requested);
    assert!(store.advance(instance, Progress { visited: None, users: 0, changed: 0 }).await.unwrap());
    let after = store.recomputation(RECOMPUTE_EVERY).await.unwrap();
    assert!(!after.running && after.requested);
    assert!(store.lead(instance, RECOMPUTE_EVERY).await.unwrap().is_some());
    assert!(store.advance(instance, Progress { visited: None, users: 0, changed: 0 }).await.unwrap());
    assert_eq!(store.lead(instance, RECOMPUTE_EVERY).await.unwrap(), None);
    assert_eq!(store.lead(instance, Duration::ZERO).await.unwrap(), None, "nothing changed");
    shop.sell("Lamp", "Lighting").await;
    assert!(store.lead(instance, Duration::ZERO).await.unwrap().is_some(), "a shorter interval holds at once");
}

#[tokio::test]
async fn re4_one_instance_runs_and_another_continues_where_it_ended() {
    let shop = Shop::open().await;
    let (store, first, second) = (&shop.store, fresh(), fresh());
    assert!(store.lead(first, RECOMPUTE_EVERY).await.unwrap().is_some());
    assert_eq!(store.lead(second, RECOMPUTE_EVERY).await.unwrap(), None, "the first one leads");
    let visited = Some(user());
    assert!(store.advance(first, Progress { visited, users: 50, changed: 2 }).await.unwrap());
    assert!(!store.advance(second, Progress { visited: None, users: 9, changed: 9 }).await.unwrap());
    assert_eq!(store.lead(first, RECOMPUTE_EVERY).await.unwrap(), visited);

    shop.execute("update recomputation set lease_until = now() - interval '1 second'").await;
    assert_eq!(store.lead(second, RECOMPUTE_EVERY).await.unwrap(), visited, "the first one ended");
    assert!(!store.advance(first, Progress { visited: None, users: 9, changed: 9 }).await.unwrap());
    store.resign(second).await.unwrap();
    assert_eq!(store.lead(first, RECOMPUTE_EVERY).await.unwrap(), visited, "the second one shut down");
    assert!(store.advance(first, Progress { visited: None, users: 3, changed: 1 }).await.unwrap());
    let end = store.recomputation(RECOMPUTE_EVERY).await.unwrap();
    assert_eq!((end.running, end.users, end.changed), (false, 53, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn re12_many_instances_at_once_write_each_change_once() {
    let shop = Arc::new(Shop::open().await);
    let lamp = shop.sell("Lamp", "Lighting").await;
    shop.sell("Torch", "Lighting").await;
    for _ in 0..70 {
        shop.buy(user(), &[lamp]).await;
    }
    join_all((0..6).map(|_| async { work(&shop, fresh()).await })).await;
    let mut events = events(&shop).await;
    events.dedup();
    assert_eq!(events, [(1, vec!["Torch".to_owned()])], "the first event of each user");
    assert_eq!(shop.count("select count(*) from outbox where topic = 'recommendation-events'").await, 70);
}

#[tokio::test]
async fn a_result_that_becomes_due_while_it_is_computed_is_computed_again() {
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Lighting").await;
    shop.buy(shop.me, &[lamp]).await;
    let taken = shop.store.take_due(10).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(shop.store.take_due(10).await.unwrap(), [], "another instance computes it");
    shop.buy(shop.me, &[lamp]).await;
    assert!(shop.store.store(&taken[0], None).await.unwrap());
    assert_eq!(shop.store.take_due(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_of_price_votes_or_order_alone_is_no_event() {
    let shop = Shop::open().await;
    let instance = fresh();
    let (lamp, torch) = (shop.sell("Lamp", "Lighting").await, shop.sell("Torch", "Lighting").await);
    let candle = shop.sell("Candle", "Lighting").await;
    shop.buy(shop.me, &[lamp]).await;
    work(&shop, instance).await;
    let body = json!({"productId": candle, "isPositive": true});
    shop.public.post("/api/v1/recommendations/feedback", body).with(&shop.token).await.expect(200);
    shop.deliver(&[created(torch, 2, "Better torch", "Lighting")]).await;
    let_time_pass(&shop).await;
    work(&shop, instance).await;
    assert_eq!(shop.names().await, ["Candle", "Better torch"]);
    assert_eq!(events(&shop).await.len(), 1);

    shop.deliver(&[stock(torch, 2, 0)]).await;
    let_time_pass(&shop).await;
    work(&shop, instance).await;
    assert_eq!(events(&shop).await.last(), Some(&(2, vec!["Candle".to_owned()])));
}
