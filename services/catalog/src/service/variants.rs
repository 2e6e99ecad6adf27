//! Use cases of variants. Depends on the domain and the ports, never on HTTP or SQL.

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Page, PageSize, ProductId, Variant, VariantId};

use super::{CatalogService, Error};
use crate::domain::{Expected, ProductVariant, VariantChange, VariantDetails};

impl CatalogService {
    /// Returns a variant, or [`Error::NotFound`] if the product does not exist or has no such variant.
    pub async fn variant(&self, product: ProductId, id: VariantId) -> Result<ProductVariant, Error> {
        self.store.variant(product, id).await?.ok_or(Error::NotFound)
    }

    /// Returns one page of the variants of a product, by name, after the name `after`.
    pub async fn variants(
        &self,
        product: ProductId,
        after: &Variant,
        size: PageSize,
    ) -> Result<Page<ProductVariant>, Error> {
        let page = self.store.variants(product, after, size).await?;
        if page.items.is_empty() {
            // Distinguishes a product without variants from one that does not exist.
            self.get(product).await?;
        }
        Ok(page)
    }

    /// Creates a variant without stock. A duplicate of `dedup_key` returns the first result.
    pub async fn create_variant(
        &self,
        product: ProductId,
        name: &Variant,
        details: &VariantDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ProductVariant>, Error> {
        let id = VariantId::new(self.ids.next());
        Ok(self.store.add_variant(id, product, name, details, dedup_key).await?)
    }

    /// Changes fields of a variant. Requires the version that the client has read.
    pub async fn change_variant(
        &self,
        product: ProductId,
        id: VariantId,
        expected: &Expected,
        change: &VariantChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ProductVariant>, Error> {
        if !expected.is_given() {
            return Err(Error::VersionNeeded);
        }
        Ok(self.store.change_variant(product, id, expected, change, dedup_key).await?)
    }

    /// Deletes a variant of which no units are on hand.
    pub async fn delete_variant(
        &self,
        product: ProductId,
        id: VariantId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, Error> {
        Ok(self.store.remove_variant(product, id, expected, dedup_key).await?)
    }
}
