//! Changes of the catalog, and of what orders may use; for the staff. The services refuse them to others.

use agora_api::{Route, catalog, order};
use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object};
use serde::Serialize;
use serde_json::json;

use crate::graphql::{
    caller::caller,
    cost,
    fault::Answer,
    scalars::{DateTime, MoneyInput},
    types::{
        catalog::{Product, Term, Variant, Warehouse},
        orders::{Coupon, ShippingMethod, TaxRule},
    },
};

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct NewProductInput {
    /// 1 to 200 characters.
    name: String,
    /// Up to 10000 characters.
    description: Option<String>,
    /// Unique in the catalog.
    sku: Option<String>,
    price: MoneyInput,
    /// Units in the main warehouse at the start.
    stock: Option<i64>,
    category: Option<String>,
    brand: Option<String>,
    supplier: Option<String>,
    /// An http or https address.
    image_url: Option<String>,
}

/// What is absent stays as it is; null removes it.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeProductInput {
    /// The version that the client has read.
    version: i64,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    name: MaybeUndefined<String>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    description: MaybeUndefined<String>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    sku: MaybeUndefined<String>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    price: MaybeUndefined<MoneyInput>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    category: MaybeUndefined<String>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    brand: MaybeUndefined<String>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    supplier: MaybeUndefined<String>,
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    image_url: MaybeUndefined<String>,
}

/// Exactly one of `quantity` and `delta`.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct InventoryInput {
    /// Units on hand from now on.
    quantity: Option<i64>,
    /// Units more or fewer than now.
    delta: Option<i64>,
    /// The main warehouse if absent.
    warehouse_id: Option<ID>,
    /// The variant; absent for a product without variants.
    variant: Option<String>,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct NewVariantInput {
    /// 1 to 64 characters; unique among the variants of the product, and never changes.
    name: String,
    sku: Option<String>,
    /// In the currency of the product, whose price it has if absent.
    own_price: Option<MoneyInput>,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct WarehouseInput {
    /// 1 to 100 characters; unique without regard to case.
    name: String,
    /// Orders are filled from the warehouse with the lowest number first: 0 to 1000.
    priority: Option<i32>,
    location_id: Option<ID>,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct CouponInput {
    /// 3 to 32 letters, digits and hyphens; unique without regard to case.
    code: String,
    /// `percent` or `fixed`.
    kind: String,
    /// The share of the items' sum, of `percent`: 1 to 10000.
    basis_points: Option<i64>,
    /// What is taken off, of `fixed`.
    amount: Option<MoneyInput>,
    /// Least sum of the items.
    minimum_total: Option<MoneyInput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_from: Option<DateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<DateTime>,
    uses_max: Option<i64>,
    uses_per_user_max: Option<i64>,
    active: Option<bool>,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShippingMethodInput {
    /// 1 to 32 letters, digits and hyphens; unique without regard to case.
    code: String,
    name: String,
    price: MoneyInput,
    /// Sum of the items less the discount from which it costs nothing.
    free_from: Option<MoneyInput>,
    /// ISO 3166-1 codes of two letters; every country if absent or empty.
    countries: Option<Vec<String>>,
    active: Option<bool>,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct TaxRuleInput {
    /// ISO 3166-1 code of two letters.
    country: String,
    /// Share of the net price: 0 to 10000.
    basis_points: i64,
    /// `half_up`, which is the default, or `half_even`.
    rounding: Option<String>,
    active: Option<bool>,
}

/// A list that products or warehouses are sorted into.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
enum TermKind {
    Category,
    Brand,
    Supplier,
    Location,
}

impl TermKind {
    /// The routes that create, change and delete a term.
    const fn routes(self) -> [Route; 3] {
        use catalog::routes::{
            CHANGE_BRAND, CHANGE_CATEGORY, CHANGE_LOCATION, CHANGE_SUPPLIER, CREATE_BRAND, CREATE_CATEGORY,
            CREATE_LOCATION, CREATE_SUPPLIER, DELETE_BRAND, DELETE_CATEGORY, DELETE_LOCATION, DELETE_SUPPLIER,
        };
        match self {
            Self::Category => [CREATE_CATEGORY, CHANGE_CATEGORY, DELETE_CATEGORY],
            Self::Brand => [CREATE_BRAND, CHANGE_BRAND, DELETE_BRAND],
            Self::Supplier => [CREATE_SUPPLIER, CHANGE_SUPPLIER, DELETE_SUPPLIER],
            Self::Location => [CREATE_LOCATION, CHANGE_LOCATION, DELETE_LOCATION],
        }
    }
}

#[derive(Debug, Default)]
pub struct CatalogMutation;

#[Object]
impl CatalogMutation {
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_product(&self, context: &Context<'_>, input: NewProductInput) -> Answer<Product> {
        Some(caller(context).command(context, catalog::routes::CREATE, []).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn change_product(&self, context: &Context<'_>, id: ID, input: ChangeProductInput) -> Answer<Product> {
        Some(caller(context).command(context, catalog::routes::CHANGE, [&id]).body(&input).json().await)
    }

    /// Deletes a product. `version`: the one that the client has read.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn delete_product(&self, context: &Context<'_>, id: ID, version: i64) -> Answer<bool> {
        Some(caller(context).command(context, catalog::routes::DELETE, [&id]).if_match(version).done().await)
    }

    /// Sets or adjusts the stock of a product.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn adjust_stock(&self, context: &Context<'_>, id: ID, input: InventoryInput) -> Answer<Product> {
        Some(caller(context).command(context, catalog::routes::ADJUST_STOCK, [&id]).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_variant(&self, context: &Context<'_>, product_id: ID, input: NewVariantInput) -> Answer<Variant> {
        let call = caller(context).command(context, catalog::routes::CREATE_VARIANT, [&product_id]);
        Some(call.body(&input).json().await)
    }

    /// Deletes a variant of which no units are on hand.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn delete_variant(&self, context: &Context<'_>, product_id: ID, id: ID, version: i64) -> Answer<bool> {
        let call = caller(context).command(context, catalog::routes::DELETE_VARIANT, [&product_id, &id]);
        Some(call.if_match(version).done().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_term(&self, context: &Context<'_>, kind: TermKind, name: String) -> Answer<Term> {
        let [create, ..] = kind.routes();
        Some(caller(context).command(context, create, []).body(&json!({ "name": name })).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn rename_term(
        &self,
        context: &Context<'_>,
        kind: TermKind,
        id: ID,
        version: i64,
        name: String,
    ) -> Answer<Term> {
        let ([_, change, _], body) = (kind.routes(), json!({ "name": name, "version": version }));
        Some(caller(context).command(context, change, [&id]).body(&body).json().await)
    }

    /// Deletes a term that no product or warehouse has.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn delete_term(&self, context: &Context<'_>, kind: TermKind, id: ID, version: i64) -> Answer<bool> {
        let [.., delete] = kind.routes();
        Some(caller(context).command(context, delete, [&id]).if_match(version).done().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_warehouse(&self, context: &Context<'_>, input: WarehouseInput) -> Answer<Warehouse> {
        Some(caller(context).command(context, catalog::routes::CREATE_WAREHOUSE, []).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_coupon(&self, context: &Context<'_>, input: CouponInput) -> Answer<Coupon> {
        Some(caller(context).command(context, order::routes::CREATE_COUPON, []).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_shipping_method(
        &self,
        context: &Context<'_>,
        input: ShippingMethodInput,
    ) -> Answer<ShippingMethod> {
        Some(caller(context).command(context, order::routes::CREATE_SHIPPING_METHOD, []).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_tax_rule(&self, context: &Context<'_>, input: TaxRuleInput) -> Answer<TaxRule> {
        Some(caller(context).command(context, order::routes::CREATE_TAX_RULE, []).body(&input).json().await)
    }
}
