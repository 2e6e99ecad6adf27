//! Reads that anybody can request have connections and a time limit of their own.

use std::sync::Arc;

use agora_catalog::{ANONYMOUS_POOL, MIGRATIONS, http, postgres::PgCatalog, service::CatalogService};
use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_postgres::{Config, Db};
use agora_testkit::{TestApp, TestKeys, refused};
use agora_vocab::Epoch;
use agora_web::TokenVerifier;
use serde_json::json;

use crate::shop::{SECRET, Shop};

/// The part of four connections that serves anybody: one.
async fn anonymous(url: &str, process: &Process) -> Db {
    let url = WatchedSecret::fixed(url);
    let (_, part) = Config::new(url, 4, None).split(ANONYMOUS_POOL);
    agora_postgres::connect(&part.unwrap(), &MIGRATIONS, process).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_anybody_do_not_take_the_connections_of_orders() {
    let shop = Shop::open().await;
    let id = shop.product("A", 3).await.id;
    let process = Process::for_test("catalog");
    let reads = anonymous(&shop.database.server.url(), &process).await;
    let store = PgCatalog::new(shop.database.db.clone(), reads.clone(), Arc::new(SystemIds), Epoch::default());
    let service = CatalogService::new(Arc::new(store), Arc::new(SystemIds));
    let keys = WatchedFile::fixed(TestKeys::new().jwks());
    let verifier = TokenVerifier::watch(keys, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    let routers = http::routers(service, verifier, WatchedSecret::fixed(SECRET), &process);
    let (public, internal) = (TestApp::of("catalog", routers.public), TestApp::of("catalog", routers.internal));
    public.get("/api/v1/products?q=a").await.expect(200);

    let held = reads.acquire().await.unwrap();
    let quote = internal.post("/internal/v1/quote", json!({"productIds": [id]}));
    let list = public.get("/api/v1/products?q=a");
    let (quote, list) = tokio::join!(quote.internal(&shop.order_token).into_future(), list.into_future());
    quote.expect(200);
    refused(&list, 503, "UNAVAILABLE", &[]);
    drop(held);
    public.get("/api/v1/products").await.expect(200);
    process.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_read_of_anybody_is_cancelled() {
    let shop = Shop::open().await;
    let process = Process::for_test("catalog");
    let reads = anonymous(&shop.database.server.url(), &process).await;
    let mut connection = reads.acquire().await.unwrap();
    let slow = sqlx::query("select pg_sleep(60)").execute(&mut *connection).await.unwrap_err();
    assert_eq!(slow.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("57014"), "{slow}");
    drop(connection);
    process.end().await;
}
