//! Names and descriptions of products by language.

use agora_api::catalog as api;
use agora_testkit::refused;
use serde_json::{Value, json};

use crate::shop::{Shop, eur};

impl Shop {
    /// A chair with names in German and in Canadian French.
    async fn translated(&self) -> api::Product {
        let translations = json!({
            "de": {"name": "Stuhl", "description": "Aus Eiche"},
            "FR-ca": {"name": "Chaise"},
        });
        let body = json!({"name": "Chair", "description": "Oak", "price": eur(1999), "translations": translations});
        self.create(body).await.expect(201).parse()
    }

    /// Name, description and `Content-Language` that a client with these languages gets.
    async fn seen(&self, id: impl std::fmt::Display, accepted: &str) -> [String; 3] {
        let path = format!("/api/v1/products/{id}");
        let answer = self.public.get(&path).header("accept-language", accepted).await.expect(200);
        assert!(answer.header("vary").contains("accept-language"));
        let text = |member: &str| answer.body[member].as_str().unwrap().to_owned();
        [text("name"), text("description"), answer.header("content-language").to_owned()]
    }
}

#[tokio::test]
async fn a_product_is_shown_in_the_language_that_the_client_prefers() {
    let shop = Shop::open().await;
    let id = shop.translated().await.id;
    for (accepted, expected) in [
        ("de-AT, en;q=0.5", ["Stuhl", "Aus Eiche", "de"]),
        ("fr", ["Chaise", "", "fr-CA"]),
        ("en-US, de", ["Chair", "Oak", "en"]),
        ("sv, *;q=0.1", ["Chair", "Oak", "en"]),
        ("\t;;q=x", ["Chair", "Oak", "en"]),
    ] {
        assert_eq!(shop.seen(id, accepted).await, expected, "{accepted}");
        let list = shop.public.get("/api/v1/products").header("accept-language", accepted).await.expect(200);
        assert_eq!(
            (list.body["items"][0]["name"].as_str(), list.header("content-language")),
            (Some(expected[0]), expected[2])
        );
        assert_eq!(list.body["items"][0].get("translations"), None, "a list has no other languages");
    }
    let whole = shop.public.get(&format!("/api/v1/products/{id}")).await.expect(200);
    assert_eq!(whole.body["translations"]["fr-CA"], json!({"name": "Chaise", "description": ""}));
}

#[tokio::test]
async fn each_language_has_its_own_entity_tag_and_each_of_them_permits_a_change() {
    let shop = Shop::open().await;
    let path = format!("/api/v1/products/{}", shop.translated().await.id);
    let in_german = || shop.public.get(&path).header("accept-language", "de");
    let (german, english) = (in_german().await.expect(200), shop.public.get(&path).await.expect(200));
    let [german, english] = [german, english].map(|answer| answer.header("etag").to_owned());
    assert_ne!(german, english);
    in_german().header("if-none-match", &german).await.expect(304);
    in_german().header("if-none-match", &english).await.expect(200);
    let change = shop.public.patch(&path, json!({"name": "Seat"})).with(&shop.admin).header("if-match", &german);
    assert_eq!(change.await.expect(200).body["version"], 2);
}

#[tokio::test]
async fn a_change_merges_languages_and_their_members() {
    let shop = Shop::open().await;
    let id = shop.translated().await.id;
    let change =
        |version: i64, translations: Value| shop.patch(id, json!({"version": version, "translations": translations}));
    let kept = change(1, json!({"de": {"description": null}, "fr-CA": null, "sv": {"name": "Stol"}})).await.expect(200);
    let expected = json!({"de": {"name": "Stuhl", "description": ""}, "sv": {"name": "Stol", "description": ""}});
    assert_eq!((&kept.body["translations"], &kept.body["version"]), (&expected, &json!(2)));
    let same = change(2, json!({"sv": {"name": "Stol"}})).await.expect(200);
    assert_eq!(same.body["version"], 2, "a change without effect keeps the version");
    assert_eq!(change(2, Value::Null).await.expect(200).body.get("translations"), None);
    assert_eq!(shop.database.count("select count(*) from product_translation").await, 0);
}

#[tokio::test]
async fn wrong_translations_are_422() {
    let shop = Shop::open().await;
    let many: serde_json::Map<String, Value> =
        (0..21).map(|n| (format!("a{}", char::from(b'a' + n)), json!({"name": "x"}))).collect();
    for wrong in [
        json!({"german language": {"name": "Stuhl"}}),
        json!({"de": {"name": ""}}),
        json!({"de": {"name": "Stuhl", "description": "x".repeat(10_001)}}),
        json!({"de": {"name": "Stuhl"}, "DE": {"name": "Sessel"}}),
        Value::Object(many),
    ] {
        let answer = shop.create(json!({"name": "Chair", "price": eur(1), "translations": wrong})).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["translations"]);
    }
    let id = shop.translated().await.id;
    let nameless = shop.patch(id, json!({"version": 1, "translations": {"it": {"description": "x"}}})).await;
    refused(&nameless, 422, "VALIDATION_FAILED", &["translations"]);
}

#[tokio::test]
async fn imports_and_exports_in_json_carry_translations_and_csv_keeps_them() {
    let shop = Shop::open().await;
    let id = shop.translated().await.id;
    let export = async |format: &str| {
        let path = format!("/api/v1/admin/products/export?format={format}");
        shop.public.get(&path).with(&shop.admin).await.expect(200).bytes
    };
    let import = async |format: &str, body: Vec<u8>| {
        let path = format!("/api/v1/admin/products/import?format={format}&importId={}", crate::fixture::fresh());
        shop.public.post(&path, Value::Null).with(&shop.admin).raw(body).await.expect(200).body
    };
    let (json_lines, csv) = (export("ndjson").await, export("csv").await);
    let line: Value = serde_json::from_slice(&json_lines).unwrap();
    assert_eq!(line["translations"]["de"]["name"], "Stuhl");
    assert_eq!(import("ndjson", json_lines).await["unchanged"], 1);
    assert_eq!(import("csv", csv).await["unchanged"], 1);

    let mut changed = line.clone();
    changed["translations"] = json!({"de": {"name": "Sessel"}});
    assert_eq!(import("ndjson", changed.to_string().into_bytes()).await["updated"], 1);
    assert_eq!(shop.seen(id, "de").await, ["Sessel", "", "de"]);
    assert_eq!(shop.seen(id, "fr").await, ["Chair", "Oak", "en"]);
    changed.as_object_mut().unwrap().remove("translations");
    changed["version"] = json!(2);
    assert_eq!(import("ndjson", changed.to_string().into_bytes()).await["unchanged"], 1);
}
