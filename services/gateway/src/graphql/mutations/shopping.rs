//! Changes of carts, notifications and votes.

use agora_api::{cart, notification, recommendation};
use async_graphql::{Context, ID, InputObject, Object};
use serde::Serialize;
use serde_json::json;

use crate::graphql::{
    caller::caller,
    cost,
    fault::Answer,
    types::{
        carts::{Cart, GuestCart},
        notifications::{MarkedRead, Notification},
        search::CountedFeedback,
    },
};

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct CartItemInput {
    product_id: ID,
    /// Units, added to those already there.
    quantity: i64,
    /// The variant; absent for a product without variants.
    variant: Option<String>,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct NotificationInput {
    user_id: ID,
    /// `USER_UPDATE`, `ORDER_UPDATE`, `PROMOTION`, `EMAIL` or `RECOMMENDATION`.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    kind: String,
    /// Plain text, 1 to 4000 characters.
    content: String,
    /// One line, 1 to 200 characters; by default the type in words.
    subject: Option<String>,
    /// `critical` or `standard`, which is the default.
    priority: Option<String>,
}

#[derive(Debug, Default)]
pub struct ShoppingMutation;

#[Object]
impl ShoppingMutation {
    /// Adds units of a product to the client's cart.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn add_cart_item(&self, context: &Context<'_>, input: CartItemInput) -> Answer<Cart> {
        Some(caller(context).command(context, cart::routes::ADD_ITEM, []).body(&input).json().await)
    }

    /// Sets the units of a line.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn change_cart_item(&self, context: &Context<'_>, id: ID, quantity: i64) -> Answer<Cart> {
        let body = json!({ "quantity": quantity });
        Some(caller(context).command(context, cart::routes::CHANGE_ITEM, [&id]).body(&body).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn remove_cart_item(&self, context: &Context<'_>, id: ID) -> Answer<bool> {
        Some(caller(context).command(context, cart::routes::REMOVE_ITEM, [&id]).done().await)
    }

    /// Adds the lines of a guest's cart to the client's; the guest's is gone afterwards.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn merge_cart(&self, context: &Context<'_>, #[graphql(secret)] cart_token: String) -> Answer<Cart> {
        let body = json!({ "cartToken": cart_token });
        Some(caller(context).command(context, cart::routes::MERGE, []).body(&body).json().await)
    }

    /// Creates an empty cart for a visitor without a login, who is known by its token.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_guest_cart(&self, context: &Context<'_>) -> Answer<GuestCart> {
        Some(caller(context).command(context, cart::routes::CREATE_GUEST, []).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn add_guest_cart_item(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] cart_token: String,
        input: CartItemInput,
    ) -> Answer<Cart> {
        let call = caller(context).command(context, cart::routes::ADD_GUEST_ITEM, []).cart_token(cart_token);
        Some(call.body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn change_guest_cart_item(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] cart_token: String,
        id: ID,
        quantity: i64,
    ) -> Answer<Cart> {
        let call = caller(context).command(context, cart::routes::CHANGE_GUEST_ITEM, [&id]).cart_token(cart_token);
        Some(call.body(&json!({ "quantity": quantity })).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn remove_guest_cart_item(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] cart_token: String,
        id: ID,
    ) -> Answer<bool> {
        let call = caller(context).command(context, cart::routes::REMOVE_GUEST_ITEM, [&id]).cart_token(cart_token);
        Some(call.done().await)
    }

    /// Marks notifications of the client as read: those of a priority, those with these ids, or all.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn mark_notifications_read(
        &self,
        context: &Context<'_>,
        priority: Option<String>,
        ids: Option<Vec<ID>>,
    ) -> Answer<MarkedRead> {
        let body = json!({ "priority": priority, "notificationIds": ids });
        Some(caller(context).command(context, notification::routes::MARK_MANY, []).body(&body).json().await)
    }

    /// Votes on a product; a second vote of a user replaces the first.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn vote(&self, context: &Context<'_>, product_id: ID, is_positive: bool) -> Answer<CountedFeedback> {
        let body = json!({ "productId": product_id, "isPositive": is_positive });
        Some(caller(context).command(context, recommendation::routes::VOTE, []).body(&body).json().await)
    }

    /// Creates a notification of a user; for support.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_notification(&self, context: &Context<'_>, input: NotificationInput) -> Answer<Notification> {
        Some(caller(context).command(context, notification::routes::CREATE, []).body(&input).json().await)
    }
}
