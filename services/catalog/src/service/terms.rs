//! Use cases of terms and warehouses. Depends on the domain and the ports, never on HTTP or SQL.

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Page, PageSize, TermId, WarehouseId};

use super::{CatalogService, Error};
use crate::domain::{Expected, Label, Taxonomy, Term, Warehouse, WarehouseChange, WarehouseDetails};

impl CatalogService {
    /// Returns a term, or [`Error::NotFound`] if the taxonomy has no such term.
    pub async fn term(&self, taxonomy: Taxonomy, id: TermId) -> Result<Term, Error> {
        self.store.term(taxonomy, id).await?.ok_or(Error::NotFound)
    }

    /// Returns one page of the terms of a taxonomy, by name, after the sort key `after`.
    pub async fn terms(&self, taxonomy: Taxonomy, after: &str, size: PageSize) -> Result<Page<Term>, Error> {
        Ok(self.store.terms(taxonomy, after, size).await?)
    }

    /// Creates a term. A duplicate of `dedup_key` returns the first result.
    pub async fn create_term(
        &self,
        taxonomy: Taxonomy,
        name: &Label,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, Error> {
        let id = TermId::new(self.ids.next());
        Ok(self.store.add_term(id, taxonomy, name, dedup_key).await?)
    }

    /// Renames a term, and soon afterwards its products. Requires the version that the client has read.
    pub async fn rename_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        name: &Label,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, Error> {
        if !expected.is_given() {
            return Err(Error::VersionNeeded);
        }
        Ok(self.store.rename_term(taxonomy, id, expected, name, dedup_key).await?)
    }

    /// Deletes a term that neither products nor warehouses have.
    pub async fn delete_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, Error> {
        Ok(self.store.remove_term(taxonomy, id, expected, dedup_key).await?)
    }

    /// Gives products the new names of their terms, a batch per transaction. Returns how many were changed.
    pub async fn rename_products(&self) -> Result<u64, Error> {
        let mut renamed = 0;
        while let Some(batch) = self.store.rename_products().await? {
            renamed += batch;
        }
        Ok(renamed)
    }

    /// Returns a warehouse, or [`Error::NotFound`] if it does not exist.
    pub async fn warehouse(&self, id: WarehouseId) -> Result<Warehouse, Error> {
        self.store.warehouse(id).await?.ok_or(Error::NotFound)
    }

    /// Returns one page of the warehouses, by name, after the sort key `after`.
    pub async fn warehouses(&self, after: &str, size: PageSize) -> Result<Page<Warehouse>, Error> {
        Ok(self.store.warehouses(after, size).await?)
    }

    /// Creates a warehouse. A duplicate of `dedup_key` returns the first result.
    pub async fn create_warehouse(
        &self,
        details: &WarehouseDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, Error> {
        let id = WarehouseId::new(self.ids.next());
        Ok(self.store.add_warehouse(id, details, dedup_key).await?)
    }

    /// Changes fields of a warehouse. Requires the version that the client has read.
    pub async fn change_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        change: &WarehouseChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, Error> {
        if !expected.is_given() {
            return Err(Error::VersionNeeded);
        }
        Ok(self.store.change_warehouse(id, expected, change, dedup_key).await?)
    }

    /// Deletes a warehouse that has no stock rows.
    pub async fn delete_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, Error> {
        Ok(self.store.remove_warehouse(id, expected, dedup_key).await?)
    }
}
