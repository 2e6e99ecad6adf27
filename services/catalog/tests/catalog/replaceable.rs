//! The ports of storage are met by more than one store: PostgreSQL, and one in memory that lives in this file.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use agora_catalog::{
    domain::{Expected, Label, Priority, Stale, Taxonomy, Term, UsedBy, Warehouse, WarehouseChange, WarehouseDetails},
    ports::{NamedError, StoreError, Terms, Warehouses},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Page, PageSize, Patch, TermId, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::fixture::{Database, fresh, request};

/// Terms and warehouses in memory. Of the deduplication keys, it stores those of new warehouses.
#[derive(Debug, Default)]
struct InMemory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    terms: BTreeMap<TermId, Term>,
    warehouses: BTreeMap<WarehouseId, Warehouse>,
    results: BTreeMap<String, Warehouse>,
}

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(name: &Label) -> String {
    name.as_str().to_lowercase()
}

/// A page of what is left after the sort key, by name.
fn page<T>(items: Vec<(String, T)>, after: &str, size: PageSize) -> Page<T> {
    let mut items: Vec<_> = items.into_iter().filter(|(key, _)| key.as_str() > after).collect();
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    let more = items.len() > usize::from(size.get());
    items.truncate(size.get().into());
    let next = items.last().filter(|_| more).map(|(key, _)| key.clone());
    Page { items: items.into_iter().map(|(_, item)| item).collect(), total: None, next }
}

#[async_trait]
impl Terms for InMemory {
    async fn term(&self, taxonomy: Taxonomy, id: TermId) -> Result<Option<Term>, StoreError> {
        Ok(self.lock().terms.get(&id).filter(|term| term.taxonomy == taxonomy).cloned())
    }

    async fn terms(&self, taxonomy: Taxonomy, after: &str, size: PageSize) -> Result<Page<Term>, StoreError> {
        let terms = self.lock().terms.values().filter(|term| term.taxonomy == taxonomy).cloned().collect::<Vec<_>>();
        Ok(page(terms.into_iter().map(|term| (key(&term.name), term)).collect(), after, size))
    }

    async fn add_term(
        &self,
        id: TermId,
        taxonomy: Taxonomy,
        name: &Label,
        _dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, NamedError> {
        let State { terms, .. } = &mut *self.lock();
        if terms.values().any(|term| term.taxonomy == taxonomy && key(&term.name) == key(name)) {
            return Err(NamedError::NameTaken);
        }
        let (created_at, updated_at) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let term = Term { id, taxonomy, version: 1, name: name.clone(), created_at, updated_at };
        terms.insert(id, term.clone());
        Ok(Outcome::Applied(term))
    }

    async fn rename_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        name: &Label,
        _dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, NamedError> {
        let State { terms, .. } = &mut *self.lock();
        let taken = |term: &Term| term.id != id && term.taxonomy == taxonomy && key(&term.name) == key(name);
        let is_taken = terms.values().any(taken);
        let term = terms.get_mut(&id).filter(|term| term.taxonomy == taxonomy).ok_or(NamedError::NotFound)?;
        expected.check(term.version).map_err(NamedError::Stale)?;
        if is_taken {
            return Err(NamedError::NameTaken);
        }
        if term.name != *name {
            (term.name, term.version) = (name.clone(), term.version + 1);
        }
        Ok(Outcome::Applied(term.clone()))
    }

    async fn remove_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        _dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError> {
        let State { terms, warehouses, .. } = &mut *self.lock();
        let term = terms.get(&id).filter(|term| term.taxonomy == taxonomy).ok_or(NamedError::NotFound)?;
        expected.check(term.version).map_err(NamedError::Stale)?;
        if warehouses.values().any(|warehouse| warehouse.details.location == Some(id)) {
            return Err(NamedError::InUse(UsedBy::Warehouses));
        }
        terms.remove(&id);
        Ok(Outcome::Applied(()))
    }

    async fn rename_products(&self) -> Result<Option<u64>, StoreError> {
        // It has no products.
        Ok(None)
    }
}

#[async_trait]
impl Warehouses for InMemory {
    async fn warehouse(&self, id: WarehouseId) -> Result<Option<Warehouse>, StoreError> {
        Ok(self.lock().warehouses.get(&id).cloned())
    }

    async fn warehouses(&self, after: &str, size: PageSize) -> Result<Page<Warehouse>, StoreError> {
        let warehouses = self.lock().warehouses.values().cloned().collect::<Vec<_>>();
        let by_name = warehouses.into_iter().map(|warehouse| (key(&warehouse.details.name), warehouse));
        Ok(page(by_name.collect(), after, size))
    }

    async fn add_warehouse(
        &self,
        id: WarehouseId,
        details: &WarehouseDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, NamedError> {
        let State { terms, warehouses, results } = &mut *self.lock();
        if let Some(stored) = results.get(&format!("{dedup_key:?}")) {
            return Ok(Outcome::Duplicate(stored.clone()));
        }
        if warehouses.values().any(|warehouse| key(&warehouse.details.name) == key(&details.name)) {
            return Err(NamedError::NameTaken);
        }
        let location_name = location(terms, details)?;
        let (created_at, updated_at) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let warehouse = Warehouse { id, version: 1, details: details.clone(), location_name, created_at, updated_at };
        warehouses.insert(id, warehouse.clone());
        if *dedup_key != DedupKey::None {
            results.insert(format!("{dedup_key:?}"), warehouse.clone());
        }
        Ok(Outcome::Applied(warehouse))
    }

    async fn change_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        change: &WarehouseChange,
        _dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, NamedError> {
        let State { terms, warehouses, .. } = &mut *self.lock();
        let warehouse = warehouses.get_mut(&id).ok_or(NamedError::NotFound)?;
        expected.check(warehouse.version).map_err(NamedError::Stale)?;
        let details = warehouse.details.changed(change.clone());
        if details != warehouse.details {
            warehouse.location_name = location(terms, &details)?;
            (warehouse.details, warehouse.version) = (details, warehouse.version + 1);
        }
        Ok(Outcome::Applied(warehouse.clone()))
    }

    async fn remove_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        _dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError> {
        let State { warehouses, .. } = &mut *self.lock();
        let warehouse = warehouses.get(&id).ok_or(NamedError::NotFound)?;
        expected.check(warehouse.version).map_err(NamedError::Stale)?;
        warehouses.remove(&id);
        Ok(Outcome::Applied(()))
    }
}

fn location(terms: &BTreeMap<TermId, Term>, details: &WarehouseDetails) -> Result<Option<Label>, NamedError> {
    let Some(id) = details.location else { return Ok(None) };
    let location = terms.get(&id).filter(|term| term.taxonomy == Taxonomy::Location);
    location.map(|term| Some(term.name.clone())).ok_or(NamedError::UnknownLocation)
}

fn label(name: &str) -> Label {
    Label::parse("name", name).unwrap()
}

/// What every store of terms and warehouses does.
async fn contract(store: &(impl Terms + Warehouses)) {
    let (kind, none, any) = (Taxonomy::Location, &DedupKey::None, &Expected::ANY);
    for name in ["Rome", "athens", "Oslo"] {
        store.add_term(TermId::new(fresh()), kind, &label(name), none).await.unwrap();
    }
    let first = store.terms(kind, "", PageSize::parse(2).unwrap()).await.unwrap();
    let rest = store.terms(kind, &first.next.clone().unwrap(), PageSize::MAX).await.unwrap();
    let names: Vec<_> = first.items.iter().chain(&rest.items).map(|term| term.name.as_str().to_owned()).collect();
    assert_eq!((names, rest.next), (vec!["athens".to_owned(), "Oslo".into(), "Rome".into()], None));
    assert_eq!(store.terms(Taxonomy::Brand, "", PageSize::MAX).await.unwrap().items, []);

    let oslo = &first.items[1];
    let taken = store.add_term(TermId::new(fresh()), kind, &label("OSLO"), none).await;
    assert!(matches!(taken, Err(NamedError::NameTaken)), "{taken:?}");
    let stale = Expected { if_match: None, version: Some(2) };
    let refused = store.rename_term(kind, oslo.id, &stale, &label("Bergen"), none).await;
    assert!(matches!(refused, Err(NamedError::Stale(Stale::Version { current: 1 }))), "{refused:?}");
    let renamed = store.rename_term(kind, oslo.id, any, &label("Bergen"), none).await.unwrap().into_inner();
    assert_eq!((renamed.version, renamed.name.as_str()), (2, "Bergen"));
    let elsewhere = store.rename_term(Taxonomy::Brand, oslo.id, any, &label("x"), none).await;
    assert!(matches!(elsewhere, Err(NamedError::NotFound)), "{elsewhere:?}");
    assert_eq!(store.rename_products().await.unwrap(), None);

    let priority = Priority::parse(3).unwrap();
    let details = WarehouseDetails { name: label("North"), priority, location: Some(oslo.id) };
    let (id, once) = (WarehouseId::new(fresh()), &request("north", 1));
    let added = store.add_warehouse(id, &details, once).await.unwrap();
    let again = store.add_warehouse(WarehouseId::new(fresh()), &details, once).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(added.into_inner()));
    let there = store.warehouse(id).await.unwrap().unwrap();
    assert_eq!((there.version, there.location_name), (1, Some(label("Bergen"))));
    let used = store.remove_term(kind, oslo.id, any, none).await;
    assert!(matches!(used, Err(NamedError::InUse(UsedBy::Warehouses))), "{used:?}");
    let nowhere = WarehouseChange { location: Patch::Set(TermId::new(fresh())), ..WarehouseChange::default() };
    let refused = store.change_warehouse(id, any, &nowhere, none).await;
    assert!(matches!(refused, Err(NamedError::UnknownLocation)), "{refused:?}");
    let moved = WarehouseChange { location: Patch::Remove, ..WarehouseChange::default() };
    let moved = store.change_warehouse(id, any, &moved, none).await.unwrap().into_inner();
    assert_eq!((moved.version, moved.details.location, moved.location_name), (2, None, None));
    store.remove_term(kind, oslo.id, any, none).await.unwrap();
    assert_eq!(store.term(kind, oslo.id).await.unwrap(), None);

    let page = store.warehouses("", PageSize::MAX).await.unwrap();
    assert!(page.items.iter().any(|warehouse| warehouse.id == id));
    store.remove_warehouse(id, any, none).await.unwrap();
    let gone = store.remove_warehouse(id, any, none).await;
    assert!(matches!(gone, Err(NamedError::NotFound)), "{gone:?}");
}

#[tokio::test]
async fn ca24_a_store_in_memory_meets_the_same_contract_as_postgresql() {
    contract(&InMemory::default()).await;
    contract(&Database::create().await.store).await;
}
