//! Public routes for categories, brands, suppliers and locations: the same five for each taxonomy. Depends on wire types and
//! use cases, not on SQL.

use agora_api::{CursorQuery, List, Route, catalog as api};
use agora_vocab::TermId;
use agora_web::{
    Command, Identity, Json, Path, Problem, Query, Routes, created, encode_cursor, etag, no_content, page_after,
    tagged_json,
};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};

use super::{request, wire};
use crate::{
    domain::{Label, Taxonomy, Term},
    service::CatalogService,
};

/// Routes of a taxonomy: list, create, read, change, delete.
const ROUTES: [(Taxonomy, [Route; 5]); 4] = {
    use api::routes as declared;
    [
        (
            Taxonomy::Category,
            [
                declared::LIST_CATEGORIES,
                declared::CREATE_CATEGORY,
                declared::READ_CATEGORY,
                declared::CHANGE_CATEGORY,
                declared::DELETE_CATEGORY,
            ],
        ),
        (
            Taxonomy::Brand,
            [
                declared::LIST_BRANDS,
                declared::CREATE_BRAND,
                declared::READ_BRAND,
                declared::CHANGE_BRAND,
                declared::DELETE_BRAND,
            ],
        ),
        (
            Taxonomy::Supplier,
            [
                declared::LIST_SUPPLIERS,
                declared::CREATE_SUPPLIER,
                declared::READ_SUPPLIER,
                declared::CHANGE_SUPPLIER,
                declared::DELETE_SUPPLIER,
            ],
        ),
        (
            Taxonomy::Location,
            [
                declared::LIST_LOCATIONS,
                declared::CREATE_LOCATION,
                declared::READ_LOCATION,
                declared::CHANGE_LOCATION,
                declared::DELETE_LOCATION,
            ],
        ),
    ]
};

pub(super) fn routes() -> Routes<CatalogService> {
    ROUTES.into_iter().fold(Routes::new(), |routes, (taxonomy, [listed, create, read, changed, deleted])| {
        routes
            .on(listed, move |state, query, headers| list(taxonomy, state, query, headers))
            .on(create, move |state, who, command| add(taxonomy, create, state, who, command))
            .on(read, move |state, path| one(taxonomy, state, path))
            .on(changed, move |state, path, who, headers, command| rename(taxonomy, state, path, who, headers, command))
            .on(deleted, move |state, path, who, headers, command| remove(taxonomy, state, path, who, headers, command))
    })
}

async fn list(
    taxonomy: Taxonomy,
    State(catalog): State<CatalogService>,
    Query(query): Query<CursorQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (after, size) = page_after(query)?;
    let page = catalog.terms(taxonomy, &after, size).await?.map(wire::term);
    let list = List { items: page.items, total: None, next_cursor: page.next.as_ref().map(encode_cursor) };
    Ok(tagged_json(&headers, &list))
}

async fn one(
    taxonomy: Taxonomy,
    State(catalog): State<CatalogService>,
    Path(id): Path<TermId>,
) -> Result<Response, Problem> {
    Ok(tagged(catalog.term(taxonomy, id).await?))
}

async fn add(
    taxonomy: Taxonomy,
    route: Route,
    State(catalog): State<CatalogService>,
    who: Identity,
    Command { body, idempotency }: Command<api::NewTerm>,
) -> Result<Response, Problem> {
    let name = Label::parse("name", &body.name)?;
    let term = catalog.create_term(taxonomy, &name, &request(who.user, idempotency)).await?.into_inner();
    let tag = etag(term.version);
    let mut answer = created(format!("{}/{}", route.path, term.id), wire::term(term));
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

async fn rename(
    taxonomy: Taxonomy,
    State(catalog): State<CatalogService>,
    Path(id): Path<TermId>,
    who: Identity,
    headers: HeaderMap,
    Command { body, idempotency }: Command<api::ChangeTerm>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, body.version)?;
    let name = Label::parse("name", &body.name)?;
    let renamed = catalog.rename_term(taxonomy, id, &expected, &name, &request(who.user, idempotency)).await?;
    Ok(tagged(renamed.into_inner()))
}

async fn remove(
    taxonomy: Taxonomy,
    State(catalog): State<CatalogService>,
    Path(id): Path<TermId>,
    who: Identity,
    headers: HeaderMap,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, None)?;
    catalog.delete_term(taxonomy, id, &expected, &request(who.user, idempotency)).await?;
    Ok(no_content())
}

fn tagged(term: Term) -> Response {
    ([(header::ETAG, etag(term.version))], Json(wire::term(term))).into_response()
}
