//! Roles of the staff: who gives them, what each may do here, and when they take effect; and the rules of new passwords.

use agora_testkit::refused;
use agora_vocab::{Role, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{PASSWORD, Shop, text};

const USERS: &str = "/api/v1/admin/users";

fn token(shop: &Shop, roles: &[Role]) -> String {
    shop.keys.token(UserId::new(Uuid::nil()), roles)
}

async fn set_roles(shop: &Shop, id: &str, roles: Value) -> agora_testkit::TestResponse {
    let request = shop.app.put(&format!("{USERS}/{id}/roles"), json!({ "roles": roles }));
    request.with(&token(shop, &[Role::Admin])).await
}

#[tokio::test]
async fn gw11_a_role_takes_effect_with_the_next_login_and_the_old_sessions_end() {
    let shop = Shop::open().await;
    let id = text(&shop.register("grace@example.com").await["id"]);
    let before = shop.login("grace@example.com").await;
    let set = set_roles(&shop, &id, json!(["warehouse", "customer", "warehouse"])).await.expect(200);
    assert_eq!(set.body["roles"], json!(["customer", "warehouse"]));
    assert_eq!(shop.app.get("/api/v1/auth/validate").with(&text(&before["accessToken"])).await.status, 401);
    assert_eq!(shop.refresh(&before["refreshToken"]).await.status, 401);
    let after = shop.login("grace@example.com").await;
    assert_eq!(after["user"]["roles"], json!(["customer", "warehouse"]));
    let validated = shop.app.get("/api/v1/auth/validate").with(&text(&after["accessToken"])).await.expect(200).body;
    assert_eq!(validated["roles"], json!(["customer", "warehouse"]));

    let (kind, data) = shop.database.events().await.into_iter().nth(2).unwrap();
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((kind.as_str(), &data["reason"]), ("user.revoked", &json!("roles-changed")));
}

#[tokio::test]
async fn gw11_admins_alone_give_roles_and_not_to_themselves_and_one_of_them_is_left() {
    let shop = Shop::open().await;
    let id = text(&shop.register("grace@example.com").await["id"]);
    let path = format!("{USERS}/{id}/roles");
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        let answer = shop.app.put(&path, json!({ "roles": ["admin"] })).with(&token(&shop, &[role])).await;
        refused(&answer, 403, "FORBIDDEN", &[]);
    }
    refused(&set_roles(&shop, &id, json!(["root"])).await, 422, "VALIDATION_FAILED", &["roles[0]"]);
    refused(&set_roles(&shop, &id, json!([])).await, 422, "VALIDATION_FAILED", &["roles"]);
    refused(&set_roles(&shop, &Uuid::nil().to_string(), json!(["customer"])).await, 409, "OWN_ACCOUNT", &[]);
    set_roles(&shop, &Uuid::from_u128(9).to_string(), json!(["customer"])).await.expect(404);

    set_roles(&shop, &id, json!(["admin"])).await.expect(200);
    refused(&set_roles(&shop, &id, json!(["customer"])).await, 409, "LAST_ADMIN", &[]);
    let second = text(&shop.register("ada@example.com").await["id"]);
    set_roles(&shop, &second, json!(["customer", "admin"])).await.expect(200);
    set_roles(&shop, &id, json!(["customer"])).await.expect(200);
}

#[tokio::test]
async fn gw11_support_reads_accounts_and_changes_none() {
    let shop = Shop::open().await;
    let id = text(&shop.register("ada@example.com").await["id"]);
    let own = format!("/api/v1/users/{id}");
    for role in Role::ALL {
        let token = token(&shop, &[role]);
        let may_read = [Role::Support, Role::Admin].contains(&role);
        assert_eq!(shop.app.get(USERS).with(&token).await.status, if may_read { 200 } else { 403 }, "{role}");
        assert_eq!(shop.app.get(&own).with(&token).await.status, if may_read { 200 } else { 404 }, "{role}");
        let changed = shop.app.put(&own, json!({ "firstname": "Eve" })).with(&token).await.status;
        assert_eq!(changed, if role == Role::Admin { 200 } else { 404 }, "{role}");
        let blocked = shop.app.put(&format!("{USERS}/{id}/status"), json!({ "status": "active" })).with(&token).await;
        assert_eq!(blocked.status, if role == Role::Admin { 200 } else { 403 }, "{role}");
    }
}

#[tokio::test]
async fn gw11_a_breached_password_is_refused_wherever_a_new_one_is_chosen() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper("ada@example.com").await;
    for breached in ["password", "Password1", "qwertyuiop"] {
        let body = json!({ "email": "eve@example.com", "password": breached });
        let answer = shop.app.post("/api/v1/auth/register", body).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["password"]);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(breached) || breached == "password");
        let change = json!({ "currentPassword": PASSWORD, "newPassword": breached });
        let answer = shop.app.post("/api/v1/users/me/password", change).with(&token).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["newPassword"]);
        let reset = json!({ "token": "x", "newPassword": breached });
        let answer = shop.app.post("/api/v1/auth/password-reset/confirm", reset).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["newPassword"]);
    }
    shop.login("ada@example.com").await;
}
