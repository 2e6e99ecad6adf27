//! A new e-mail address by a link in a mail to it.

use std::collections::BTreeMap;

use agora_testkit::{Request, refused};
use agora_vocab::Secret;
use agora_web::derived_token;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{INTERNAL_SECRET, PASSWORD, Shop, text};

const EMAIL: &str = "ada@example.com";
const NEW: &str = "countess@example.com";

fn change(shop: &Shop, token: &str, email: &str, password: &str) -> Request {
    shop.app.post("/api/v1/users/me/email", json!({ "newEmail": email, "password": password })).with(token)
}

async fn request(shop: &Shop, token: &str, email: &str) {
    let answer = change(shop, token, email, PASSWORD).await.expect(202);
    assert!(answer.bytes.is_empty(), "the answer shows nothing");
}

fn confirm(shop: &Shop, token: &str) -> Request {
    shop.app.post("/api/v1/auth/email-confirmation", json!({ "token": token }))
}

fn derived(purpose: &str, id: Uuid) -> String {
    derived_token(&Secret::new(INTERNAL_SECRET), purpose, id)
}

/// The data of all events of a type, in the order of their users' counters.
async fn events(shop: &Shop, kind: &str) -> Vec<Value> {
    let events = shop.database.events().await.into_iter().filter(|(found, _)| found == kind);
    events.map(|(_, data)| serde_json::from_str(&data).unwrap()).collect()
}

/// The tokens of the mails that are asked for, as the notification service derives them.
async fn mailed(shop: &Shop) -> Vec<String> {
    let token = |request: Value| {
        let token = derived("email-change", text(&request["changeId"]).parse().unwrap());
        assert!(!request.to_string().contains(token.split_once('.').unwrap().1), "no token in an event");
        token
    };
    events(shop, "user.email-change-requested").await.into_iter().map(token).collect()
}

fn login(shop: &Shop, email: &str) -> Request {
    shop.app.post("/api/v1/auth/login", json!({ "email": email, "password": PASSWORD }))
}

#[tokio::test]
async fn a_link_changes_the_address_once_and_ends_all_sessions_but_the_one_that_asked() {
    let shop = Shop::open().await;
    shop.register(EMAIL).await;
    let (other, mine) = (shop.login(EMAIL).await, shop.login(EMAIL).await);
    let token = text(&mine["accessToken"]);
    request(&shop, &token, " Countess@Example.com ").await;
    let [asked] = <[Value; 1]>::try_from(events(&shop, "user.email-change-requested").await).unwrap();
    assert_eq!((&asked["email"], &asked["newEmail"]), (&json!(EMAIL), &json!(NEW)));
    let own = shop.app.get("/api/v1/users/me").with(&token).await.expect(200).body;
    assert_eq!(own["email"], EMAIL, "not before it is confirmed");

    let link = mailed(&shop).await.remove(0);
    let answer = confirm(&shop, &link).await.expect(204);
    assert!(answer.bytes.is_empty());
    refused(&confirm(&shop, &link).await, 422, "VALIDATION_FAILED", &["token"]);
    login(&shop, EMAIL).await.expect(401);
    shop.refresh(&other["refreshToken"]).await.expect(401);
    shop.app.get("/api/v1/auth/validate").with(&text(&other["accessToken"])).await.expect(401);
    let refreshed = shop.refresh(&mine["refreshToken"]).await.expect(200).body;
    assert_eq!(refreshed["user"]["email"], NEW);

    let kinds: Vec<String> = shop.database.events().await.into_iter().map(|(kind, _)| kind).collect();
    let expected = ["registered", "login", "login", "email-change-requested", "email-changed", "updated"];
    assert_eq!(kinds, expected.map(|kind| format!("user.{kind}")));
    let [changed] = <[Value; 1]>::try_from(events(&shop, "user.email-changed").await).unwrap();
    assert_eq!((&changed["previousEmail"], &changed["email"]), (&json!(EMAIL), &json!(NEW)));
    assert_eq!(events(&shop, "user.updated").await[0]["email"], NEW);
    login(&shop, NEW).await.expect(200);
    shop.register(EMAIL).await;
}

#[tokio::test]
async fn without_the_present_password_no_change_is_asked_for_and_guesses_are_limited() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    refused(&change(&shop, &token, NEW, "wrong horse").await, 422, "VALIDATION_FAILED", &["password"]);
    refused(&change(&shop, &token, "none", PASSWORD).await, 422, "VALIDATION_FAILED", &["newEmail"]);
    refused(&change(&shop, &token, EMAIL, PASSWORD).await, 422, "VALIDATION_FAILED", &["newEmail"]);
    change(&shop, "forged", NEW, PASSWORD).await.expect(401);
    assert_eq!(mailed(&shop).await, [""; 0]);
    let mut last = 0;
    for _ in 0..10 {
        last = change(&shop, &token, NEW, "wrong horse").await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn a_new_address_with_a_card_number_is_refused_and_no_mail_is_asked_for() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    for address in ["4111111111111111@example.com", "ada+4111-1111-1111-1111@example.com"] {
        let answer = change(&shop, &token, address, PASSWORD).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["newEmail"]);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("4111"), "never repeated");
    }
    assert_eq!(mailed(&shop).await, [""; 0]);
}

#[tokio::test]
async fn whether_an_account_has_the_new_address_shows_only_to_the_holder_of_its_mailbox() {
    let shop = Shop::open().await;
    shop.register(NEW).await;
    let (_, token) = shop.shopper(EMAIL).await;
    let of_another = change(&shop, &token, NEW, PASSWORD).await.expect(202);
    let free = change(&shop, &token, "free@example.com", PASSWORD).await.expect(202);
    assert_eq!((of_another.bytes, of_another.status), (free.bytes, free.status));
    let requests = events(&shop, "user.email-change-requested").await;
    let names = |request: &Value| request.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&requests[0]), names(&requests[1]));

    request(&shop, &token, NEW).await;
    let link = mailed(&shop).await.pop().unwrap();
    refused(&confirm(&shop, &link).await, 409, "EMAIL_TAKEN", &[]);
    login(&shop, EMAIL).await.expect(200);
    login(&shop, NEW).await.expect(200);
    assert_eq!(events(&shop, "user.email-changed").await, [Value::Null; 0]);
}

#[tokio::test]
async fn a_later_request_replaces_an_earlier_one() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    request(&shop, &token, "first@example.com").await;
    request(&shop, &token, NEW).await;
    let links = mailed(&shop).await;
    refused(&confirm(&shop, &links[0]).await, 422, "VALIDATION_FAILED", &["token"]);
    confirm(&shop, &links[1]).await.expect(204);
    login(&shop, NEW).await.expect(200);
}

/// A thief with the password asks for the change; the notice to the present address makes its owner act.
#[tokio::test]
async fn a_new_password_the_end_of_all_sessions_and_a_block_withdraw_a_request() {
    let shop = Shop::open().await;
    let id = text(&shop.register(EMAIL).await["id"]);
    let token = text(&shop.login(EMAIL).await["accessToken"]);
    request(&shop, &token, NEW).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD });
    shop.app.post("/api/v1/users/me/password", body).with(&token).await.expect(204);

    request(&shop, &token, NEW).await;
    shop.app.post("/api/v1/auth/password-reset", json!({ "email": EMAIL })).await.expect(202);
    shop.service.announce_resets().await.unwrap();
    let reset = events(&shop, "user.password-reset-requested").await.remove(0);
    let reset = derived("password-reset", text(&reset["resetId"]).parse().unwrap());
    let body = json!({ "token": reset, "newPassword": PASSWORD });
    shop.app.post("/api/v1/auth/password-reset/confirm", body).await.expect(204);

    let token = text(&shop.login(EMAIL).await["accessToken"]);
    request(&shop, &token, NEW).await;
    shop.app.delete("/api/v1/users/me/sessions").with(&token).await.expect(204);
    for link in mailed(&shop).await {
        refused(&confirm(&shop, &link).await, 422, "VALIDATION_FAILED", &["token"]);
    }

    let (eve, token) = shop.shopper("eve@example.com").await;
    request(&shop, &token, "eva@example.com").await;
    shop.database.block(eve.parse().unwrap()).await;
    let link = derived("email-change", {
        let requests = events(&shop, "user.email-change-requested").await;
        let of_eve = requests.iter().find(|request| request["userId"] != json!(id)).unwrap();
        text(&of_eve["changeId"]).parse().unwrap()
    });
    refused(&confirm(&shop, &link).await, 422, "VALIDATION_FAILED", &["token"]);
}

#[tokio::test]
async fn a_forged_foreign_or_old_token_changes_nothing() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    request(&shop, &token, NEW).await;
    let link = mailed(&shop).await.remove(0);
    let id: Uuid = link.split_once('.').unwrap().0.parse().unwrap();
    let by_another = derived_token(&Secret::new("another secret"), "email-change", id);
    let for_another = derived("password-reset", id);
    let unknown = derived("email-change", Uuid::nil());
    for wrong in [by_another.as_str(), &for_another, &unknown, "", "x.y"] {
        refused(&confirm(&shop, wrong).await, 422, "VALIDATION_FAILED", &["token"]);
    }
    let body = json!({ "token": link, "newPassword": "a better password" });
    let reset = shop.app.post("/api/v1/auth/password-reset/confirm", body).await;
    refused(&reset, 422, "VALIDATION_FAILED", &["token"]);
    shop.database.expire_email_changes().await;
    refused(&confirm(&shop, &link).await, 422, "VALIDATION_FAILED", &["token"]);
    login(&shop, EMAIL).await.expect(200);
}

#[tokio::test]
async fn a_request_is_deleted_after_an_hour() {
    let shop = Shop::open().await;
    for user in ["ada", "eve"] {
        let (_, token) = shop.shopper(&format!("{user}@example.com")).await;
        request(&shop, &token, &format!("{user}-new@example.com")).await;
    }
    assert_eq!(shop.service.email_changes.delete_expired().await.unwrap(), 0);
    let mut connection = shop.database.db.acquire().await.unwrap();
    let hour = "update email_change set expires_at = expires_at - interval '1 hour' where new_email like 'ada%'";
    sqlx::query(hour).execute(&mut *connection).await.unwrap();
    assert_eq!(shop.service.email_changes.delete_expired().await.unwrap(), 1);
    let left: Vec<String> =
        sqlx::query_scalar("select new_email from email_change").fetch_all(&mut *connection).await.unwrap();
    assert_eq!(left, ["eve-new@example.com"]);
}

#[tokio::test]
async fn of_two_users_who_confirm_one_address_at_once_one_gets_it_and_the_other_a_conflict() {
    let shop = Shop::open().await;
    for round in 0..5 {
        let new = format!("countess-{round}@example.com");
        let before = mailed(&shop).await;
        for user in ["ada", "eve"] {
            let (_, token) = shop.shopper(&format!("{user}-{round}@example.com")).await;
            request(&shop, &token, &new).await;
        }
        let links = mailed(&shop).await.into_iter().filter(|link| !before.contains(link)).collect::<Vec<_>>();
        let answers = join_all(links.iter().map(|link| confirm(&shop, link).into_future())).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
        login(&shop, &new).await.expect(200);
    }
    assert_eq!(events(&shop, "user.email-changed").await.len(), 5);
}

#[tokio::test]
async fn a_link_that_is_used_many_times_at_once_changes_the_address_once() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    request(&shop, &token, NEW).await;
    let link = mailed(&shop).await.remove(0);
    let mut statuses = BTreeMap::<u16, usize>::new();
    for answer in join_all((0..8).map(|_| confirm(&shop, &link).into_future())).await {
        *statuses.entry(answer.status).or_default() += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(204, 1), (422, 7)]));
    assert_eq!(events(&shop, "user.email-changed").await.len(), 1);
}

#[tokio::test]
async fn a_confirmation_and_a_registration_of_one_address_at_once_leave_it_to_one_account() {
    let shop = Shop::open().await;
    for round in 0..5 {
        let new = format!("countess-{round}@example.com");
        let (id, token) = shop.shopper(&format!("ada-{round}@example.com")).await;
        request(&shop, &token, &new).await;
        let requests = events(&shop, "user.email-change-requested").await;
        let own = requests.iter().find(|request| request["userId"] == json!(id)).unwrap();
        let link = derived("email-change", text(&own["changeId"]).parse().unwrap());
        let body = json!({ "email": new, "password": PASSWORD });
        let register = shop.app.post("/api/v1/auth/register", body);
        let (confirmed, registered) = tokio::join!(confirm(&shop, &link).into_future(), register.into_future());
        assert!(
            matches!((confirmed.status, registered.status), (204, 409) | (409, 201)),
            "{} {}",
            confirmed.status,
            registered.status
        );
    }
}

#[tokio::test]
async fn changes_of_one_account_and_to_one_address_are_limited_whether_or_not_an_account_has_it() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    for n in 0..3 {
        request(&shop, &token, &format!("new-{n}@example.com")).await;
    }
    refused(&change(&shop, &token, "new-3@example.com", PASSWORD).await, 429, "TOO_MANY_ATTEMPTS", &[]);

    shop.register("taken@example.com").await;
    for new in ["taken@example.com", "free@example.com"] {
        let prefix = new.split('@').next().unwrap();
        for n in 0..4 {
            let (_, token) = shop.shopper(&format!("{prefix}-{n}@example.com")).await;
            let status = change(&shop, &token, new, PASSWORD).await.status;
            assert_eq!(status, if n < 3 { 202 } else { 429 }, "{new}: {n}");
        }
    }
}
