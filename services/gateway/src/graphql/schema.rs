//! The schema: its roots, and its text in the schema definition language. Must not depend on how a request arrives.

use async_graphql::{MergedObject, SDLExportOptions, Schema};

use super::{
    cost::COST_MAX,
    mutations::{AccountMutation, CatalogMutation, DemoMutation, OrderMutation, ShoppingMutation},
    queries::{AccountQuery, AdministrationQuery, CatalogQuery, DemoQuery},
    subscriptions::LiveSubscription,
};

#[derive(Debug, Default, MergedObject)]
pub struct Query(DemoQuery, CatalogQuery, AccountQuery, AdministrationQuery);

#[derive(Debug, Default, MergedObject)]
pub struct Mutation(DemoMutation, AccountMutation, ShoppingMutation, OrderMutation, CatalogMutation);

/// Queries and changes are executed by requests, subscriptions over connections.
pub type ShopSchema = Schema<Query, Mutation, LiveSubscription>;

/// The schema with its limit of cost. Errors suggest no names: with introspection off, they would spell out the schema.
pub fn schema() -> ShopSchema {
    Schema::build(Query::default(), Mutation::default(), LiveSubscription)
        .limit_complexity(COST_MAX)
        .disable_suggestions()
        .finish()
}

/// The schema definition language of the schema, in one order.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items();
    schema().sdl_with_options(options.prefer_single_line_descriptions().use_space_ident())
}
