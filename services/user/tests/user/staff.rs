//! Logins of the staff at a real small identity provider, over HTTP.

use agora_testkit::{OidcServer, TestResponse, refused};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Shop, text};

const BEGIN: &str = "/api/v1/auth/staff/logins";
const END: &str = "/api/v1/auth/staff/sessions";

struct Begun {
    authorization_url: String,
    state: String,
}

async fn begin(shop: &Shop) -> Begun {
    let begun = shop.app.post(BEGIN, json!({})).await.expect(201);
    assert_eq!(begun.header("cache-control"), "no-store");
    Begun { authorization_url: text(&begun.body["authorizationUrl"]), state: text(&begun.body["state"]) }
}

async fn end(shop: &Shop, state: &str, code: &str) -> TestResponse {
    shop.app.post(END, json!({ "state": state, "code": code })).await
}

/// Logs a person with these claims in.
async fn log_in(shop: &Shop, provider: &OidcServer, claims: &Value) -> TestResponse {
    let begun = begin(shop).await;
    let (code, state) = provider.log_in(&begun.authorization_url, claims);
    assert_eq!(state, begun.state, "the client compares it");
    end(shop, &state, &code).await
}

#[tokio::test]
async fn gw11_a_member_of_the_staff_logs_in_at_the_provider_and_has_the_roles_of_their_groups() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let tokens = log_in(&shop, &provider, &json!({ "groups": ["desk", "stock", "cooks"] })).await.expect(200).body;
    assert_eq!(tokens["user"]["roles"], json!(["support", "warehouse"]));
    assert_eq!(
        (&tokens["user"]["email"], &tokens["user"]["name"]),
        (&json!("grace@shop.example"), &json!("Grace Hopper"))
    );
    let access = text(&tokens["accessToken"]);
    shop.app.get("/api/v1/admin/users").with(&access).await.expect(200);
    let validated = shop.app.get("/api/v1/auth/validate").with(&access).await.expect(200).body;
    assert_eq!(validated["roles"], json!(["support", "warehouse"]));

    let again = log_in(&shop, &provider, &json!({ "groups": ["stock", "desk"] })).await.expect(200).body;
    assert_eq!(again["user"]["id"], tokens["user"]["id"], "the same person");
    shop.app.get("/api/v1/auth/validate").with(&access).await.expect(200);
    let other = json!({ "sub": "person-2", "email": "ada@shop.example", "groups": "owners" });
    assert_eq!(log_in(&shop, &provider, &other).await.expect(200).body["user"]["roles"], json!(["admin"]));
    let sessions = shop.app.get("/api/v1/users/me/sessions").with(&access).await.expect(200).body;
    let session = &sessions["items"][0];
    let time =
        |name: &str| time::OffsetDateTime::parse(&text(&session[name]), &time::format_description::well_known::Rfc3339);
    let life = time("expiresAt").unwrap() - time("issuedAt").unwrap();
    assert_eq!(life.whole_hours(), 12, "{session}");
}

#[tokio::test]
async fn gw11_roles_follow_the_groups_and_a_person_without_one_or_blocked_does_not_get_in() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let before = log_in(&shop, &provider, &json!({ "groups": ["owners"] })).await.expect(200).body;
    let access = text(&before["accessToken"]);
    let after = log_in(&shop, &provider, &json!({ "groups": ["desk"] })).await.expect(200).body;
    assert_eq!(after["user"]["roles"], json!(["support"]));
    assert_eq!(shop.app.get("/api/v1/auth/validate").with(&access).await.status, 401, "the old role has ended");

    for claims in
        [json!({}), json!({ "groups": [] }), json!({ "groups": ["cooks"] }), json!({ "groups": {"desk": true} })]
    {
        let answer = log_in(&shop, &provider, &claims).await;
        refused(&answer, 403, "NO_STAFF_ROLE", &[]);
    }
    let admin = shop.keys.token(agora_vocab::UserId::new(uuid::Uuid::nil()), &[agora_vocab::Role::Admin]);
    let path = format!("/api/v1/admin/users/{}/status", text(&after["user"]["id"]));
    shop.app.put(&path, json!({ "status": "blocked" })).with(&admin).await.expect(200);
    refused(&log_in(&shop, &provider, &json!({ "groups": ["desk"] })).await, 401, "INVALID_STAFF_LOGIN", &[]);
}

#[tokio::test]
async fn gw11_a_state_and_a_code_are_valid_once_and_together() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let desk = json!({ "groups": ["desk"] });
    let (first, second) = (begin(&shop).await, begin(&shop).await);
    let (code, _) = provider.log_in(&first.authorization_url, &desk);
    for (state, code) in
        [("guessed", &*code), (&*second.state, &*code), (&*second.state, &*code), (&*first.state, "guessed")]
    {
        refused(&end(&shop, state, code).await, 401, "INVALID_STAFF_LOGIN", &[]);
    }
    let third = begin(&shop).await;
    let (code, state) = provider.log_in(&third.authorization_url, &desk);
    end(&shop, &state, &code).await.expect(200);
    refused(&end(&shop, &state, &code).await, 401, "INVALID_STAFF_LOGIN", &[]);
}

#[tokio::test]
async fn gw11_an_id_token_of_another_issuer_client_login_or_time_is_refused() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let wrong = [
        ("another issuer", json!({ "iss": "https://evil.example" })),
        ("another audience", json!({ "aud": "another shop" })),
        ("several audiences without a party", json!({ "aud": ["agora shop", "another shop"] })),
        ("another party", json!({ "azp": "another shop" })),
        ("another login", json!({ "nonce": "of another login" })),
        ("no nonce", json!({ "nonce": null })),
        ("expired", json!({ "exp": 1_700_000_000 })),
        ("no expiry", json!({ "exp": null })),
        ("not valid yet", json!({ "nbf": 4_000_000_000_u64 })),
        ("no subject", json!({ "sub": null })),
        ("a long subject", json!({ "sub": "x".repeat(256) })),
        ("no e-mail address", json!({ "email": null })),
        ("an unverified e-mail address", json!({ "email_verified": false })),
    ];
    for (case, mut claims) in wrong {
        claims["groups"] = json!(["owners"]);
        let answer = log_in(&shop, &provider, &claims).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (401, &json!("INVALID_STAFF_LOGIN")),
            "{case}: {}",
            answer.body
        );
    }
    assert!(shop.database.events().await.is_empty(), "no account was created");
}

#[tokio::test]
async fn gw11_an_account_of_the_staff_has_no_password_and_takes_no_ones_e_mail_address() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let desk = json!({ "groups": ["desk"] });
    log_in(&shop, &provider, &desk).await.expect(200);
    for password in [PASSWORD, ""] {
        let body = json!({ "email": "grace@shop.example", "password": password });
        refused(&shop.app.post("/api/v1/auth/login", body).await, 401, "INVALID_CREDENTIALS", &[]);
    }
    shop.app.post("/api/v1/auth/password-reset", json!({ "email": "grace@shop.example" })).await.expect(202);
    shop.service.announce_resets().await.unwrap();
    let events = shop.database.events().await;
    assert!(events.iter().all(|(kind, _)| kind != "user.password-reset-requested"), "{events:?}");
    let login = events.iter().find(|(kind, _)| kind == "user.login").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&login.1).unwrap()["loginMethod"], "oidc");

    shop.register("ada@shop.example").await;
    let stolen = json!({ "sub": "person-2", "email": "ada@shop.example", "groups": ["desk"] });
    refused(&log_in(&shop, &provider, &stolen).await, 409, "EMAIL_TAKEN", &["email"]);
}

#[tokio::test]
async fn gw11_tokens_with_unknown_keys_do_not_let_the_provider_be_asked_for_its_keys_each_time() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    log_in(&shop, &provider, &json!({ "groups": ["desk"] })).await.expect(200);
    assert_eq!(provider.key_set_reads(), 1);
    log_in(&shop, &provider, &json!({ "groups": ["desk"] })).await.expect(200);
    assert_eq!(provider.key_set_reads(), 1, "it is kept");
    provider.rotate_key();
    for _ in 0..3 {
        log_in(&shop, &provider, &json!({ "groups": ["desk"] })).await.expect(401);
    }
    assert_eq!(provider.key_set_reads(), 1, "not before a minute is over");
}

#[tokio::test]
async fn gw11_without_a_provider_there_is_no_such_login_and_while_it_is_away_it_is_503() {
    let shop = Shop::open().await;
    refused(&shop.app.post(BEGIN, json!({})).await, 404, "NO_IDENTITY_PROVIDER", &[]);
    refused(&end(&shop, "state", "code").await, 404, "NO_IDENTITY_PROVIDER", &[]);
    let shop = Shop::with_provider(Some("http://127.0.0.1:1")).await;
    let away = shop.app.post(BEGIN, json!({})).await;
    refused(&away, 503, "UNAVAILABLE", &[]);
    assert!(!String::from_utf8_lossy(&away.bytes).contains("127.0.0.1"));
    shop.register("ada@example.com").await;
}

#[tokio::test]
async fn a_login_that_was_not_ended_is_deleted_after_ten_minutes() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let accounts = &shop.service.staff.as_ref().unwrap().accounts;
    begin(&shop).await;
    assert_eq!(accounts.delete_expired_logins().await.unwrap(), 0);
    sqlx::query("update staff_login set expires_at = expires_at - interval '10 minutes'")
        .execute(&mut *shop.database.db.acquire().await.unwrap())
        .await
        .unwrap();
    let open = begin(&shop).await;
    assert_eq!(accounts.delete_expired_logins().await.unwrap(), 1);
    let (code, state) = provider.log_in(&open.authorization_url, &json!({ "groups": ["desk"] }));
    end(&shop, &state, &code).await.expect(200);
}

#[tokio::test]
async fn the_identity_of_an_erased_member_of_the_staff_is_deleted() {
    let provider = OidcServer::start().await;
    let shop = Shop::with_provider(Some(&provider.url())).await;
    let desk = json!({ "groups": ["desk"] });
    let erased = text(&log_in(&shop, &provider, &desk).await.expect(200).body["user"]["id"]);
    let admin = shop.keys.token(agora_vocab::UserId::new(uuid::Uuid::nil()), &[agora_vocab::Role::Admin]);
    shop.app.delete(&format!("/api/v1/admin/users/{erased}")).with(&admin).await.expect(204);
    let left: i64 = sqlx::query_scalar("select count(*) from staff_identity")
        .fetch_one(&mut *shop.database.db.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(left, 0);
    let again = log_in(&shop, &provider, &desk).await.expect(200).body;
    assert_ne!(text(&again["user"]["id"]), erased, "another account");
}
