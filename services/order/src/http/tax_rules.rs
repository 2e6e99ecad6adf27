//! Public HTTP API of tax rules: `/api/v1/admin/tax-rules`.

use agora_api::{CursorQuery, List, order as api};
use agora_vocab::Country;
use agora_web::{Command, Identity, Json, Path, Problem, Query, Routes, created, page_after};
use axum::{extract::State, response::Response};

use super::{
    dedup_key,
    settings::{Fields, page},
};
use crate::{
    domain::{FieldError, NewTaxRule, TaxCategory, TaxChange, TaxRule, TaxTerms},
    service::{Error, PriceService},
};

pub fn routes(service: PriceService) -> Routes {
    use api::routes::{
        CHANGE_TAX_RULE, CHANGE_TAX_RULE_OF, CREATE_TAX_RULE, LIST_TAX_RULES, READ_TAX_RULE, READ_TAX_RULE_OF,
    };
    Routes::new()
        .on(LIST_TAX_RULES, list)
        .on(CREATE_TAX_RULE, create)
        .on(READ_TAX_RULE, read)
        .on(CHANGE_TAX_RULE, change)
        .on(READ_TAX_RULE_OF, read_of)
        .on(CHANGE_TAX_RULE_OF, change_of)
        .with_state(service)
}

async fn list(
    State(service): State<PriceService>,
    Query(query): Query<CursorQuery>,
) -> Result<Json<List<api::TaxRule>>, Problem> {
    let (after, size) = page_after(query)?;
    Ok(Json(page(service.tax_rules(&after, size).await?, wire)))
}

async fn read(State(service): State<PriceService>, Path(country): Path<String>) -> Result<Json<api::TaxRule>, Problem> {
    Ok(Json(wire(service.tax_rule(&named(&country)?, TaxCategory::Goods).await?)))
}

async fn read_of(
    State(service): State<PriceService>,
    Path((country, category)): Path<(String, String)>,
) -> Result<Json<api::TaxRule>, Problem> {
    Ok(Json(wire(service.tax_rule(&named(&country)?, of(&category)?).await?)))
}

async fn create(
    State(service): State<PriceService>,
    identity: Identity,
    command: Command<api::NewTaxRule>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    let new = parse(&command.body)?;
    let rule = service.create_tax_rule(&new, &dedup_key).await?.into_inner();
    let country = rule.country.as_str();
    let location = match rule.category {
        TaxCategory::Goods => api::routes::READ_TAX_RULE.path_of([&country]),
        category @ TaxCategory::Shipping => api::routes::READ_TAX_RULE_OF.path_of([&country, &category.as_str()]),
    };
    Ok(created(location, wire(rule)))
}

async fn change(
    State(service): State<PriceService>,
    identity: Identity,
    Path(country): Path<String>,
    command: Command<api::ChangeTaxRule>,
) -> Result<Json<api::TaxRule>, Problem> {
    change_rule(&service, &identity, (&named(&country)?, TaxCategory::Goods), command).await
}

async fn change_of(
    State(service): State<PriceService>,
    identity: Identity,
    Path((country, category)): Path<(String, String)>,
    command: Command<api::ChangeTaxRule>,
) -> Result<Json<api::TaxRule>, Problem> {
    change_rule(&service, &identity, (&named(&country)?, of(&category)?), command).await
}

async fn change_rule(
    service: &PriceService,
    identity: &Identity,
    (country, category): (&Country, TaxCategory),
    command: Command<api::ChangeTaxRule>,
) -> Result<Json<api::TaxRule>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    let api::ChangeTaxRule { basis_points, rounding, active } = command.body;
    let change = TaxChange { basis_points, rounding, active };
    Ok(Json(wire(service.change_tax_rule(country, category, &change, &dedup_key).await?.into_inner())))
}

/// The country in a path; what is no country is not found.
fn named(country: &str) -> Result<Country, Error> {
    Country::parse(country).map_err(|_| Error::NotFound)
}

/// The category in a path; what is no category is not found.
fn of(category: &str) -> Result<TaxCategory, Error> {
    category.parse().map_err(|_| Error::NotFound)
}

fn parse(body: &api::NewTaxRule) -> Result<NewTaxRule, Problem> {
    let api::NewTaxRule { country, category, basis_points, rounding, active } = body;
    let mut fields = Fields::default();
    let country = fields.take(Country::parse(country).map_err(Into::into));
    let category = category.as_deref().map_or(Ok(TaxCategory::default()), str::parse);
    let category = fields.take(category.map_err(|_| FieldError::new("category", "must be goods or shipping")));
    let terms = TaxTerms::parse(*basis_points, rounding.as_deref(), active.unwrap_or(true));
    match (country, category, fields.take_all(terms)) {
        (Some(country), Some(category), Some(terms)) => Ok(NewTaxRule { country, category, terms }),
        _ => Err(fields.into_problem()),
    }
}

fn wire(rule: TaxRule) -> api::TaxRule {
    let TaxRule { country, category, terms, created_at, updated_at } = rule;
    let TaxTerms { basis_points, rounding, active } = terms;
    api::TaxRule {
        country: country.as_str().to_owned(),
        category: category.as_str().to_owned(),
        basis_points,
        rounding: rounding.as_str().to_owned(),
        active,
        created_at,
        updated_at,
    }
}
