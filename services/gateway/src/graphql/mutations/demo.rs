//! The changes of the GraphQL demo, with its names.

use agora_api::{catalog, order, user};
use agora_vocab::{AMOUNT_MAX, Currency};
use agora_web::Problem;
use async_graphql::{Context, ID, InputObject, Object};
use serde::Serialize;
use serde_json::{Value, json};

use crate::graphql::{
    caller::{Caller, caller},
    cost,
    fault::{Answer, Fault},
    types::{
        accounts::{SigninResult, SignupResult, User},
        catalog::Product,
        orders::Order,
    },
};

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateUserInput {
    name: Option<String>,
    email: String,
    /// 8 to 128 characters.
    #[graphql(secret)]
    password: String,
    firstname: Option<String>,
    lastname: Option<String>,
    username: Option<String>,
    phone: Option<String>,
    preferences: Option<UserPreferencesInput>,
}

#[derive(InputObject, Serialize)]
struct SigninInput {
    email: String,
    #[graphql(secret)]
    password: String,
}

/// Which mails a new user wants; what is absent is wanted.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct UserPreferencesInput {
    promotions: Option<bool>,
    order_updates: Option<bool>,
    recommendations: Option<bool>,
}

/// What is absent stays as it is.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateUserPreferencesInput {
    promotions: Option<bool>,
    order_updates: Option<bool>,
    recommendations: Option<bool>,
}

#[derive(InputObject)]
struct CreateProductInput {
    name: String,
    /// In euros, with at most two decimals. `createProduct` takes other currencies.
    price: f64,
    quantity: i64,
    category: String,
}

/// A product and how many units of it to order.
#[derive(InputObject)]
struct OrderProductInput {
    #[graphql(name = "_id")]
    id: ID,
    quantity: i64,
    /// The variant; absent for a product without variants.
    variant: Option<String>,
}

#[derive(Debug, Default)]
pub struct DemoMutation;

#[Object]
impl DemoMutation {
    /// Creates an account and logs in.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn signup(&self, context: &Context<'_>, input: CreateUserInput) -> Answer<SignupResult> {
        Some(sign_up(caller(context), &input).await)
    }

    /// Opens a session with a password.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn signin(&self, context: &Context<'_>, input: SigninInput) -> Answer<SigninResult> {
        Some(caller(context).call(user::routes::LOGIN, []).body(&input).json().await)
    }

    /// Changes which mails a user wants: the client itself, or any for administrators.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn update_user_preferences(
        &self,
        context: &Context<'_>,
        id: ID,
        preferences: UpdateUserPreferencesInput,
    ) -> Answer<User> {
        let call = caller(context).command(context, user::routes::SET_PREFERENCES, [&id]);
        Some(call.body(&preferences).json().await)
    }

    /// Creates a product with its stock; for the role `catalog`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn add_product(&self, context: &Context<'_>, input: CreateProductInput) -> Answer<Product> {
        let body = match new_product(&input) {
            Ok(body) => body,
            Err(problem) => return Some(Err(problem.into())),
        };
        Some(caller(context).command(context, catalog::routes::CREATE, []).body(&body).json().await)
    }

    /// Orders these products. `createOrder` orders the cart, too.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn place_order(&self, context: &Context<'_>, products: Vec<OrderProductInput>) -> Answer<Order> {
        let body = json!({ "items": products.iter().map(line).collect::<Value>() });
        Some(caller(context).command(context, order::routes::PLACE, []).keyed().body(&body).json().await)
    }
}

async fn sign_up(caller: &Caller, input: &CreateUserInput) -> Result<SignupResult, Fault> {
    caller.call(user::routes::REGISTER, []).body(input).done().await?;
    let credentials = json!({ "email": input.email, "password": input.password });
    caller.call(user::routes::LOGIN, []).body(&credentials).json().await
}

fn line(product: &OrderProductInput) -> Value {
    let OrderProductInput { id, quantity, variant } = product;
    json!({ "productId": id, "quantity": quantity, "variant": variant })
}

fn new_product(input: &CreateProductInput) -> Result<Value, Problem> {
    let CreateProductInput { name, price, quantity, category } = input;
    let wrong =
        || Problem::unprocessable().field("price", "must be an amount with at most two decimals, such as 19.99");
    let price = json!({ "amount": cents(*price).ok_or_else(wrong)?, "currency": Currency::EUR });
    Ok(json!({ "name": name, "price": price, "stock": quantity, "category": category }))
}

/// 19.9 → 1990. `None` for what cents cannot express.
fn cents(amount: f64) -> Option<i64> {
    // The shortest text that reads as this number; it has no exponent.
    let text = amount.to_string();
    let (units, decimals) = text.split_once('.').unwrap_or((&text, ""));
    if decimals.len() > 2 {
        return None;
    }
    let cents: i64 = format!("{units}{decimals:0<2}").parse().ok()?;
    (cents.unsigned_abs() <= AMOUNT_MAX.unsigned_abs()).then_some(cents)
}

#[cfg(test)]
mod tests {
    use super::cents;

    #[test]
    fn gw4_a_decimal_price_is_exact_to_the_cent_or_refused() {
        let exact = [(19.99, 1999), (20.0, 2000), (0.1, 10), (-1.5, -150), (4_503_599.07, 450_359_907)];
        for (decimal, expected) in exact {
            assert_eq!(cents(decimal), Some(expected), "{decimal}");
        }
        for refused in [19.999, f64::NAN, f64::INFINITY, 1e18, 0.1 + 0.2] {
            assert_eq!(cents(refused), None, "{refused}");
        }
    }
}
