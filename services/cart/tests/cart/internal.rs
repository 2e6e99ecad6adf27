//! The internal routes: checkouts of orders.

use agora_api::cart as api;
use agora_testkit::refused;
use agora_vocab::Role;
use serde_json::json;

use crate::{
    fixture::{order, user},
    shop::Shop,
};

/// Defect of A (docs/DEFECTS.md): an order emptied the cart of a wrong user id.
#[tokio::test]
async fn ct12_a_checkout_empties_only_the_cart_of_its_user() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    let other = shop.keys.token(user(), &[Role::Customer]);
    let body = json!({"productId": chair, "quantity": 1});
    shop.public.post("/api/v1/cart/items", body).with(&other).await.expect(201);
    shop.add(chair, 2).await.expect(201);
    let id = order();
    let checkout = shop.begin_checkout(id).await.expect(200);
    let taken: api::Checkout = checkout.parse();
    assert_eq!(taken.cart_version, 1);
    assert_eq!(checkout.body["lines"], json!([{"productId": chair, "variant": "", "quantity": 2}]));
    assert_eq!(shop.units().await, [0_u32; 0]);
    let others: api::Cart = shop.public.get("/api/v1/cart").with(&other).await.parse();
    assert_eq!(others.items.len(), 1);

    assert_eq!(shop.begin_checkout(id).await.expect(200).parse::<api::Checkout>(), taken);
    refused(&shop.begin_checkout(order()).await, 422, "EMPTY_CART", &[]);
    assert_eq!(shop.cancel_checkout(id).await.expect(200).body["state"], "returned");
    assert_eq!(shop.units().await, [2]);
    refused(&shop.begin_checkout(id).await, 409, "CANCELLED", &[]);
    let never = order();
    assert_eq!(shop.cancel_checkout(never).await.expect(200).body["state"], "returned");
    refused(&shop.begin_checkout(never).await, 409, "CANCELLED", &[]);
}
