//! The first admin, whose password follows a Secret.

use agora_user::{domain::Password, service::Ensured};
use agora_vocab::Email;
use serde_json::json;

use crate::fixture::{PASSWORD, Shop};

#[tokio::test]
async fn the_first_admin_is_created_once_and_the_password_follows_the_secret() {
    let shop = Shop::open().await;
    let email = Email::parse("admin@example.com").unwrap();
    let ensure = |password: &str| {
        let password = Password::parse(password).unwrap();
        let (service, email) = (shop.service.clone(), email.clone());
        async move { service.ensure_admin(&email, &password).await.unwrap() }
    };
    assert!(!shop.service.has_admin(&email).await.unwrap());
    assert_eq!(ensure(PASSWORD).await, Ensured::Created);
    assert!(shop.service.has_admin(&email).await.unwrap());
    assert_eq!(ensure(PASSWORD).await, Ensured::Unchanged);
    let tokens = shop.login("admin@example.com").await;
    assert_eq!(tokens["user"]["roles"], json!(["customer", "admin"]));

    assert_eq!(ensure("another horse battery").await, Ensured::Changed);
    let old = json!({ "email": "admin@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/auth/login", old).await.expect(401);
    let new = json!({ "email": "admin@example.com", "password": "another horse battery" });
    shop.app.post("/api/v1/auth/login", new).await.expect(200);
    shop.refresh(&tokens["refreshToken"]).await.expect(401);
}

#[tokio::test]
async fn an_earlier_account_with_the_admins_address_is_taken_over() {
    let shop = Shop::open().await;
    let (_, squatter) = shop.shopper("admin@example.com").await;
    let email = Email::parse("admin@example.com").unwrap();
    let password = Password::parse("another horse battery").unwrap();
    assert!(!shop.service.has_admin(&email).await.unwrap(), "an account is no admin");
    assert_eq!(shop.service.ensure_admin(&email, &password).await.unwrap(), Ensured::Changed);
    shop.app.get("/api/v1/auth/validate").with(&squatter).await.expect(401);
    let old = json!({ "email": "admin@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/auth/login", old).await.expect(401);
}
