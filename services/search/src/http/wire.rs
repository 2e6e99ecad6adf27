//! Conversion between wire types and the domain. Independent of SQL.

use std::collections::BTreeMap;

use agora_api::{catalog, search as api};
use agora_vocab::{AssetBase, Invalid, PageSize};
use agora_web::{PageQuery, Problem, Start as PageStart, decode_cursor, encode_cursor};
use http::StatusCode;

use crate::domain::{
    Completion, CompletionKind, Cursor, Facet, FacetKind, Filter, Found, Product, Progress, QueryText, Search, Sort,
    Start,
};

/// Parses a search. Malformed query parameters are 400, a page size out of range is 422.
pub(super) fn search(query: api::SearchQuery) -> Result<Search, Problem> {
    let api::SearchQuery { q, category, brand, min_price, max_price, in_stock, sort, facets, limit, cursor, offset } =
        query;
    let page = PageQuery { limit, cursor, offset }.parse()?;
    let text = q.as_deref().map(text).transpose()?;
    let default = if text.is_some() { Sort::Relevance } else { Sort::CreatedDown };
    let sort = sort.map_or(Ok(default), |name| Sort::parse(&name, text.is_some())).map_err(bad)?;
    let filter = Filter {
        category: label("category", category)?,
        brand: label("brand", brand)?,
        price_min: price("minPrice", min_price)?,
        price_max: price("maxPrice", max_price)?,
        in_stock: in_stock.map_or(Ok(false), |text| Filter::parse_in_stock(&text)).map_err(bad)?,
    };
    let start = match page.start {
        PageStart::First => Start::First,
        PageStart::Offset(offset) => Start::Offset(offset),
        PageStart::Cursor(text) => Start::After(decode_cursor::<Cursor>(&text)?.checked(sort).map_err(bad)?),
    };
    // The facets of a list are the same on each of its pages.
    let facets = match facets.as_deref() {
        None => !matches!(start, Start::After(_)),
        Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(bad(Invalid::new("facets", "must be true or false"))),
    };
    Ok(Search { text, filter, sort, start, limit: page.size, facets })
}

/// Parses a search text.
pub(super) fn text(q: &str) -> Result<QueryText, Problem> {
    QueryText::parse(q).map_err(bad)
}

fn label(field: &'static str, text: Option<String>) -> Result<Option<String>, Problem> {
    text.map(|text| Filter::parse_label(field, &text)).transpose().map_err(bad)
}

fn price(field: &'static str, text: Option<String>) -> Result<Option<i64>, Problem> {
    text.map(|text| Filter::parse_price(field, &text)).transpose().map_err(bad)
}

fn bad(Invalid { field, message }: Invalid) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field(field, message)
}

/// The public representation of a product, which is the catalog's.
pub(super) fn product(product: Product, assets: &AssetBase) -> catalog::Product {
    let Product { id, version, name, description, sku, price, category, brand, supplier, image_url, .. } = product;
    catalog::Product {
        id,
        name,
        description,
        sku,
        price,
        stock: product.stock,
        category,
        brand,
        supplier,
        image_url: image_url.map(|url| assets.resolve(url)),
        translations: BTreeMap::new(),
        prices: Vec::new(),
        seller_id: product.seller,
        version,
        created_at: product.created_at,
        updated_at: product.updated_at,
    }
}

/// The answer to a search.
pub(super) fn result(found: Found, counted: bool, assets: &AssetBase) -> api::SearchResult {
    let Found { products, total, is_cut, next, facets, corrected } = found;
    api::SearchResult {
        items: products.into_iter().map(|found| product(found, assets)).collect(),
        total,
        total_is_lower_bound: is_cut,
        next_cursor: next.as_ref().map(encode_cursor),
        facets: counted.then(|| self::facets(facets)),
        corrected_query: corrected,
    }
}

fn facets(facets: Vec<Facet>) -> api::Facets {
    let mut all = api::Facets::default();
    for Facet { kind, products } in facets {
        match kind {
            FacetKind::Category(value) => all.category.push(api::FacetValue { value, count: products }),
            FacetKind::Brand(value) => all.brand.push(api::FacetValue { value, count: products }),
            FacetKind::Price { currency, from, below } => {
                all.price.push(api::PriceRange { currency, from, below, count: products });
            }
            FacetKind::InStock => all.in_stock = products,
        }
    }
    all.price.sort_by(|a, b| (&a.currency, a.from).cmp(&(&b.currency, b.from)));
    all
}

/// Categories and brands first: they lead to many products.
pub(super) fn suggestions(completions: Vec<Completion>, size: PageSize) -> Vec<api::Suggestion> {
    let suggestion = |Completion { text, kind }| {
        let (kind, product_id) = match kind {
            CompletionKind::Category => ("category", None),
            CompletionKind::Brand => ("brand", None),
            CompletionKind::Product(id) => ("product", Some(id)),
        };
        api::Suggestion { text, kind: kind.to_owned(), product_id }
    };
    completions.into_iter().take(usize::from(size.get())).map(suggestion).collect()
}

/// How far the index is built.
pub(super) fn progress(progress: Progress) -> api::Progress {
    api::Progress {
        generation: progress.generation,
        state: if progress.is_building { "building" } else { "complete" }.to_owned(),
        is_complete: progress.is_complete,
        products: progress.products,
        expected: progress.expected,
        started_at: progress.started_at,
        updated_at: progress.updated_at,
        completed_at: progress.completed_at,
    }
}
