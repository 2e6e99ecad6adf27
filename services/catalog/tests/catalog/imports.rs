//! Imports and exports of products: over HTTP, and on the use case with lines that break off.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use agora_catalog::{
    domain::{Details, ImportLine, ImportProgress, ImportState, ImportTally, ImportedProduct, Price, Sku},
    ports::{ImportRun, Imports as _},
    service::ImportError,
};
use agora_testkit::{Request, TestResponse, refused};
use agora_vocab::{Currency, ImportId, Money, UserId};
use futures::stream;
use serde_json::{Value, json};

use crate::{
    fixture::{fresh, named},
    shop::{Shop, eur},
};

const EXPORT: &str = "/api/v1/admin/products/export";

fn import_id() -> ImportId {
    ImportId::new(fresh())
}

fn user() -> UserId {
    UserId::new(fresh())
}

impl Shop {
    fn import(&self, format: &str, id: ImportId, body: impl Into<Vec<u8>>) -> Request {
        let path = format!("/api/v1/admin/products/import?format={format}&importId={id}");
        self.public.post(&path, Value::Null).with(&self.admin).header("content-type", "text/plain").raw(body)
    }

    fn progress(&self, id: ImportId) -> Request {
        self.public.get(&format!("/api/v1/admin/products/imports/{id}")).with(&self.admin)
    }

    async fn by_sku(&self, sku: &str) -> Value {
        let all = self.public.get("/api/v1/products?limit=100").await.expect(200).body;
        all["items"].as_array().unwrap().iter().find(|item| item["sku"] == sku).unwrap().clone()
    }
}

fn ndjson(lines: &[Value]) -> String {
    lines.iter().fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

fn chair(sku: &str, amount: i64) -> Value {
    json!({"sku": sku, "name": format!("Chair {sku}"), "price": eur(amount), "stock": 4, "category": "Chairs"})
}

/// Created, updated, unchanged and failed lines.
fn tally(answer: &TestResponse) -> [i64; 4] {
    ["created", "updated", "unchanged", "failed"].map(|member| answer.body[member].as_i64().unwrap())
}

/// The lines of products with these numbers.
fn lines(numbers: impl Iterator<Item = u64>) -> impl Iterator<Item = ImportLine> {
    numbers.map(|number| {
        let details = Details {
            sku: Some(Sku::parse(&format!("N-{number}")).unwrap()),
            price: Price::parse(Money { amount: 100, currency: Currency::EUR }).unwrap(),
            ..named(&format!("Product {number}")).details
        };
        let product =
            Ok(ImportedProduct { id: None, version: None, details, translations: None, prices: None, units: 1 });
        ImportLine { number, digest: number.to_be_bytes().to_vec(), product }
    })
}

/// The lines of an import that breaks off after this many.
async fn broken_off(shop: &Shop, id: ImportId, all: u64, after: usize) -> ImportError<&'static str> {
    let lines = lines(1..=all).map(Ok).take(after).chain([Err("cut")]);
    shop.service.import(id, user(), stream::iter(lines)).await.unwrap_err()
}

async fn whole(shop: &Shop, id: ImportId, all: u64) -> Result<ImportProgress, ImportError<Infallible>> {
    shop.service.import(id, user(), stream::iter(lines(1..=all).map(Ok))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_create_products_with_stock_and_events_and_change_those_with_their_sku() {
    let shop = Shop::open().await;
    let first = shop.import("ndjson", import_id(), ndjson(&[chair("C-1", 1999), chair("C-2", 2999)])).await.expect(200);
    assert_eq!((tally(&first), first.body["state"].as_str()), ([2, 0, 0, 0], Some("complete")));
    let made = shop.by_sku("C-1").await;
    assert_eq!((&made["name"], &made["stock"], &made["version"]), (&json!("Chair C-1"), &json!(4), &json!(1)));

    let lines = [chair("C-1", 1500), chair("C-2", 2999), chair("C-3", 3999)];
    let second = shop.import("ndjson", import_id(), ndjson(&lines)).await.expect(200);
    assert_eq!(tally(&second), [1, 1, 1, 0]);
    let changed = shop.by_sku("C-1").await;
    assert_eq!((&changed["price"], &changed["stock"], &changed["version"]), (&eur(1500), &json!(4), &json!(2)));
    assert_eq!(changed["id"], made["id"]);
    let events = "select count(*) from outbox where kind in ('product.created', 'product.updated', 'stock.changed')";
    assert_eq!(shop.database.count(events).await, 3 + 1 + 3);
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_lines_are_reported_by_number_and_reason_and_the_others_go_in() {
    let shop = Shop::open().await;
    let product = shop.product("Desk", 1).await;
    shop.public
        .post(&format!("/api/v1/products/{}/variants", product.id), json!({"name": "red", "sku": "V-1"}))
        .with(&shop.admin)
        .await
        .expect(201);
    let gone = shop.product("Gone", 0).await;
    let etag = format!("\"{}\"", gone.version);
    let path = format!("/api/v1/products/{}", gone.id);
    shop.public.delete(&path).with(&shop.admin).header("if-match", &etag).await.expect(204);
    let with_other_currency = json!({"id": product.id, "name": "Desk", "price": {"amount": 1, "currency": "USD"}});
    let other_version = json!({"id": product.id, "version": 7, "name": "Table", "price": eur(1)});
    let deleted = json!({"id": gone.id, "name": "Gone", "price": eur(1)});
    let body = [
        chair("C-1", 1999).to_string(),
        String::new(),
        "{\"sku\":".to_owned(),
        chair("C-2", 0).to_string(),
        json!({"name": "Nothing", "price": eur(1)}).to_string(),
        chair("V-1", 1).to_string(),
        with_other_currency.to_string(),
        other_version.to_string(),
        deleted.to_string(),
        json!({"sku": "C-9", "version": 1, "name": "New", "price": eur(1)}).to_string(),
        format!("{{\"sku\":\"C-4\",\"name\":\"{}\"}}", "x".repeat(17_000)),
        json!({"sku": "C-5", "name": "4111 1111 1111 1111", "price": eur(1)}).to_string(),
        chair("C-3", 2999).to_string(),
    ];
    let answer = shop.import("ndjson", import_id(), body.join("\n")).await.expect(200);
    assert_eq!((tally(&answer), &answer.body["lines"]), ([2, 0, 0, 10], &json!(12)));
    let expected = [
        (3, "one JSON object"),
        (4, "price.amount"),
        (5, "sku is required"),
        (6, "sku belongs to a variant"),
        (7, "price.currency must stay EUR"),
        (8, "version is 1 now"),
        (9, "id belongs to a deleted product"),
        (10, "no product has this sku"),
        (11, "16384 bytes"),
        (12, "payment card number"),
    ];
    let errors = answer.body["errors"].as_array().unwrap();
    for ((line, reason), error) in expected.iter().zip(errors) {
        assert_eq!(error["line"], *line, "{error}");
        assert!(error["reason"].as_str().unwrap().contains(reason), "{error}");
    }
    assert_eq!(errors.len(), expected.len());
    assert!(!answer.body.to_string().contains("4111"), "a reason says nothing of what the line holds");
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_lines_are_counted_and_a_thousand_are_listed() {
    let shop = Shop::open().await;
    let answer = shop.import("ndjson", import_id(), "x\n".repeat(1_150)).await.expect(200);
    assert_eq!(tally(&answer), [0, 0, 0, 1_150]);
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!((errors.len(), &errors[999]["line"]), (1_000, &json!(1_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_depends_on_an_earlier_one_finds_what_it_changed() {
    let shop = Shop::open().await;
    shop.import("ndjson", import_id(), ndjson(&[chair("C-1", 1)])).await.expect(200);
    let id = shop.by_sku("C-1").await["id"].clone();
    let mut renamed = chair("C-2", 2);
    renamed["id"] = id.clone();
    // The second line frees C-1, which the third one gives to a new product; the last one changes that.
    let body = [chair("C-1", 5), renamed, chair("C-1", 3), chair("C-1", 4), chair("C-9", 1), chair("C-9", 2)];
    let answer = shop.import("ndjson", import_id(), ndjson(&body)).await.expect(200);
    assert_eq!(tally(&answer), [2, 4, 0, 0]);
    assert_eq!(shop.by_sku("C-2").await["id"], id);
    assert_eq!(shop.by_sku("C-1").await["price"], eur(4));
    assert_eq!(shop.by_sku("C-9").await["price"], eur(2));
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_after_a_cut_stream_skips_what_is_in_and_returns_the_totals_of_all() {
    let shop = Shop::open().await;
    let id = import_id();
    let error = broken_off(&shop, id, 450, 250).await;
    assert!(matches!(error, ImportError::Lines("cut")), "{error:?}");
    let interrupted = shop.progress(id).await.expect(200);
    assert_eq!((interrupted.body["state"].as_str(), tally(&interrupted)), (Some("interrupted"), [250, 0, 0, 0]));

    let all = ImportTally { created: 450, ..ImportTally::default() };
    for _ in 0..2 {
        let done = whole(&shop, id, 450).await.unwrap();
        assert_eq!((done.state, done.lines, done.tally), (ImportState::Complete, 450, all));
    }
    assert_eq!(shop.database.count("select count(*) from product where version = 1").await, 450);
    assert_eq!(shop.database.count("select count(*) from outbox where kind = 'product.created'").await, 450);
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_with_other_lines_is_refused() {
    let shop = Shop::open().await;
    let (complete, interrupted) = (import_id(), import_id());
    let body = ndjson(&[chair("C-1", 1), chair("C-2", 2)]);
    shop.import("ndjson", complete, body.clone()).await.expect(200);
    for other in [ndjson(&[chair("C-1", 1)]), ndjson(&[chair("C-1", 1), chair("C-2", 3)]), body.clone() + "{}\n"] {
        refused(&shop.import("ndjson", complete, other).await, 422, "IMPORT_ID_REUSED", &[]);
    }
    shop.import("ndjson", complete, body).await.expect(200);

    broken_off(&shop, interrupted, 10, 5).await;
    let others = lines(2..=11).map(Ok::<_, Infallible>);
    let error = shop.service.import(interrupted, user(), stream::iter(others)).await.unwrap_err();
    assert!(matches!(error, ImportError::OtherLines), "{error:?}");
    assert_eq!(whole(&shop, interrupted, 10).await.unwrap().lines, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_at_once_one_is_409_until_the_other_ends_or_its_lease_does() {
    let shop = Shop::open().await;
    let first = ImportRun { import: import_id(), runner: fresh() };
    shop.database.store.begin_import(first, user()).await.unwrap().unwrap();
    let body = ndjson(&[chair("C-1", 1)]);
    refused(&shop.import("ndjson", first.import, body.clone()).await, 409, "IMPORT_IN_PROGRESS", &[]);
    assert_eq!(shop.progress(first.import).await.expect(200).body["state"], "running");

    let mut connection = shop.database.db.acquire().await.unwrap();
    let lease = "update product_import set lease_until = now() - interval '1 second'";
    sqlx::query(lease).execute(&mut *connection).await.unwrap();
    let second = ImportRun { runner: fresh(), ..first };
    shop.database.store.begin_import(second, user()).await.unwrap().unwrap();
    let batch: Vec<ImportLine> = lines(1..=3).collect();
    assert_eq!(shop.database.store.import_batch(first, &batch).await.unwrap(), None, "the lease is another request's");
    assert_eq!(shop.database.count("select count(*) from product").await, 0);
    assert_eq!(shop.database.store.import_batch(second, &batch).await.unwrap(), Some(3));
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_imports_of_the_same_skus_make_each_product_once() {
    let shop = &Shop::open().await;
    let runs = (0..4).map(|_| async move { whole(shop, import_id(), 150).await.unwrap() });
    let done = futures::future::join_all(runs).await;
    assert_eq!(done.iter().map(|progress| progress.tally.created).sum::<u64>(), 150);
    assert!(done.iter().all(|progress| progress.lines == 150 && progress.tally.failed == 0), "{done:?}");
    assert_eq!(shop.database.count("select count(*) from product").await, 150);
    shop.database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_lines_one_batch_is_held_at_a_time() {
    const ALL: u64 = 10_000;
    let shop = &Shop::open().await;
    let id = import_id();
    let (handled, widest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let state = (lines(1..=ALL), handled.clone(), widest.clone());
    let lines = stream::unfold(state, |(mut lines, handled, widest)| async move {
        let line = lines.next()?;
        if line.number % 500 == 0 {
            let recorded = shop.database.count("select lines from product_import").await;
            let ahead = line.number - u64::try_from(recorded).unwrap();
            widest.fetch_max(ahead, Ordering::SeqCst);
        }
        handled.fetch_add(1, Ordering::SeqCst);
        Some((Ok::<_, Infallible>(line), (lines, handled, widest)))
    });
    let done = shop.service.import(id, user(), Box::pin(lines)).await.unwrap();
    assert_eq!((done.lines, done.tally.created, handled.load(Ordering::SeqCst)), (ALL, ALL, ALL));
    assert!(widest.load(Ordering::SeqCst) <= 100, "{widest:?} lines were read before they were written");

    let exported = shop.public.get(&format!("{EXPORT}?format=ndjson")).with(&shop.admin).await.expect(200);
    assert_eq!(exported.bytes.split(|byte| *byte == b'\n').count(), 10_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_has_at_most_a_hundred_thousand_lines() {
    let shop = Shop::open().await;
    let wrong = |number| ImportLine { number, digest: vec![1], product: Err("wrong".to_owned()) };
    // The lines of the batches before are in: the import is put near its limit, so that the test is short.
    let id = import_id();
    let first = shop.service.import(id, user(), stream::iter((1..=100).map(wrong).map(Ok).chain([Err("cut")]))).await;
    assert!(matches!(first, Err(ImportError::Lines("cut"))));
    let mut connection = shop.database.db.acquire().await.unwrap();
    let near = "update product_import set lines = 99990, failed = 99990";
    sqlx::query(near).execute(&mut *connection).await.unwrap();
    let lines = (1..=100_005).map(wrong).map(Ok::<_, Infallible>);
    let error = shop.service.import(id, user(), stream::iter(lines)).await.unwrap_err();
    assert!(matches!(error, ImportError::TooManyLines), "{error:?}");
    assert_eq!(shop.progress(id).await.expect(200).body["lines"], 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_imported_in_both_formats_and_changes_nothing() {
    let shop = Shop::open().await;
    let mut body = ndjson(&[chair("C-1", 1999), chair("C-2", 2999)]);
    let awkward = json!({"sku": "C-3", "name": "a \"b\", c", "description": "two\nlines; 1,5 m", "price": eur(1),
        "brand": "Ä & Ö", "imageUrl": "https://cdn.example.com/a.png"});
    writeln!(body, "{awkward}").unwrap();
    shop.import("ndjson", import_id(), body).await.expect(200);
    shop.product("Without a SKU", 0).await;
    for format in ["ndjson", "csv"] {
        let exported = shop.public.get(&format!("{EXPORT}?format={format}")).with(&shop.admin).await.expect(200);
        let answer = shop.import(format, import_id(), exported.bytes).await.expect(200);
        assert_eq!(tally(&answer), [0, 0, 4, 0], "{format}: {}", answer.body);
    }
    assert_eq!(shop.database.count("select max(version) from product").await, 1);

    // Into another shop, with the same ids.
    let exported = shop.public.get(&format!("{EXPORT}?format=ndjson")).with(&shop.admin).await.expect(200);
    let other = Shop::open().await;
    assert_eq!(tally(&other.import("ndjson", import_id(), exported.bytes.clone()).await.expect(200)), [4, 0, 0, 0]);
    let again = other.public.get(&format!("{EXPORT}?format=ndjson")).with(&other.admin).await.expect(200);
    assert_eq!(again.bytes, exported.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_continues_after_a_product() {
    let shop = Shop::open().await;
    whole(&shop, import_id(), 600).await.unwrap();
    let lines = |answer: TestResponse| -> Vec<Value> {
        let text = String::from_utf8(answer.bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(shop.public.get(&format!("{EXPORT}?format=ndjson")).with(&shop.admin).await.expect(200));
    assert_eq!(all.len(), 600);
    let after = all[399]["id"].as_str().unwrap();
    let rest = shop.public.get(&format!("{EXPORT}?format=ndjson&after={after}")).with(&shop.admin).await.expect(200);
    assert_eq!(lines(rest), all[400..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_exports_are_for_admins_and_need_a_format_and_an_id() {
    let shop = Shop::open().await;
    let path = format!("/api/v1/admin/products/import?format=ndjson&importId={}", import_id());
    for (path, post) in [(path.as_str(), true), ("/api/v1/admin/products/export?format=csv", false)] {
        let request = || if post { shop.public.post(path, json!({})) } else { shop.public.get(path) };
        refused(&request().await, 401, "NO_TOKEN", &[]);
        refused(&request().with(&shop.customer).await, 403, "FORBIDDEN", &[]);
    }
    let import =
        |query: &str| shop.public.post(&format!("/api/v1/admin/products/import?{query}"), json!({})).with(&shop.admin);
    refused(&import("format=ndjson").await, 400, "INVALID_QUERY", &["importId"]);
    refused(&import(&format!("format=xml&importId={}", import_id())).await, 400, "INVALID_QUERY", &["format"]);
    refused(&shop.public.get(EXPORT).with(&shop.admin).await, 400, "INVALID_QUERY", &["format"]);
    refused(&shop.progress(import_id()).await, 404, "NOT_FOUND", &[]);
    let unknown_column = "sku,name,price.amount,price.currency,colour\n";
    refused(&shop.import("csv", import_id(), unknown_column).await, 422, "VALIDATION_FAILED", &["columns"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_are_deleted_with_their_errors_seven_days_after_their_last_change() {
    let shop = Shop::open().await;
    let (old, young) = (import_id(), import_id());
    for id in [old, young] {
        shop.import("ndjson", id, "x\n").await.expect(200);
    }
    let mut connection = shop.database.db.acquire().await.unwrap();
    let age = "update product_import set changed_at = now() - interval '8 days' where id = $1";
    sqlx::query(age).bind(old.uuid()).execute(&mut *connection).await.unwrap();
    assert_eq!(shop.service.sweep_imports().await.unwrap(), 1);
    shop.progress(young).await.expect(200);
    shop.progress(old).await.expect(404);
    assert_eq!(shop.database.count("select count(*) from product_import_fault").await, 1);
}
