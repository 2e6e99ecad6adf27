//! HTTP client of the catalog's internal export. Depends on wire types; the use cases handle an unavailable catalog.

use agora_api::catalog as api;
use agora_outbound::Client;
use agora_vocab::{ProductId, Variant};
use async_trait::async_trait;

use crate::{
    domain::{Product, StockChange},
    ports::{Catalog, CatalogUnavailable, Exported},
};

/// The [`Catalog`] port over HTTP.
#[derive(Clone, Debug)]
pub struct CatalogClient(pub Client);

#[async_trait]
impl Catalog for CatalogClient {
    async fn export(&self, last: Option<ProductId>) -> Result<Vec<Exported>, CatalogUnavailable> {
        let route = api::routes::EXPORT.path;
        let path = last.map_or_else(|| route.to_owned(), |last| format!("{route}?after={last}"));
        let lines: Vec<api::ExportedProduct> =
            self.0.get_lines(&path).await.map_err(|error| CatalogUnavailable(error.into()))?;
        Ok(lines.into_iter().map(exported).collect())
    }
}

fn exported(line: api::ExportedProduct) -> Exported {
    let api::ExportedProduct { product, stock_levels } = line;
    let id = product.id;
    let level = |level: api::ExportedStock| StockChange {
        product: id,
        variant: Variant::stored(level.variant),
        warehouse: level.warehouse_id,
        units: level.units,
        version: level.version,
    };
    let product = Product {
        id,
        version: product.version,
        name: product.name,
        description: product.description,
        sku: product.sku,
        price: product.price,
        category: product.category,
        brand: product.brand,
        supplier: product.supplier,
        image_url: product.image_url,
        seller: product.seller_id,
        created_at: product.created_at,
        updated_at: product.updated_at,
        stock: product.stock,
    };
    Exported { product, stock: stock_levels.into_iter().map(level).collect() }
}
