//! The search service over HTTP and by events, on a database of its own and a fake catalog.

use std::sync::Arc;

use agora_api::search as api;
use agora_chassis::{Process, SystemIds, WatchedFile};
use agora_search::{
    domain::{Product, ProductChange, StockChange},
    http,
    service::SearchService,
};
use agora_testkit::{TestApp, TestKeys};
use agora_vocab::{Role, UserId};
use agora_web::TokenVerifier;

use crate::fixture::{Database, FakeCatalog, fresh, stock, stored};

/// The service under test.
pub struct Shop {
    pub public: TestApp,
    pub database: Database,
    pub catalog: FakeCatalog,
    pub service: SearchService,
    pub admin: String,
    pub customer: String,
}

impl Shop {
    /// With an index that was built from an empty catalog.
    pub async fn open() -> Self {
        let shop = Self::unbuilt().await;
        shop.service.request_rebuild().await.unwrap();
        assert!(shop.service.build().await.unwrap());
        shop
    }

    /// With an index that was never built.
    pub async fn unbuilt() -> Self {
        let (database, catalog) = (Database::create().await, FakeCatalog::default());
        let index = Arc::new(database.index.clone());
        let service = SearchService::new(index, Arc::new(catalog.clone()), &SystemIds);
        let (keys, process) = (TestKeys::new(), Process::for_test("search"));
        let verifier =
            TokenVerifier::watch(WatchedFile::fixed(keys.jwks()), TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let routers = http::routers(service.clone(), verifier, &process);
        let token = |role| keys.token(UserId::new(fresh()), &[role]);
        Self {
            public: TestApp::of("search", routers.public),
            database,
            catalog,
            service,
            admin: token(Role::Admin),
            customer: token(Role::Customer),
        }
    }

    pub async fn store(&self, products: &[ProductChange], levels: &[StockChange]) {
        self.service.store(products, levels).await.unwrap();
    }

    /// Stores products of which there are some units.
    pub async fn sell(&self, products: &[Product]) {
        let changes: Vec<_> = products.iter().map(stored).collect();
        let levels: Vec<_> = products.iter().map(|product| stock(product.id, 5, 1)).collect();
        self.store(&changes, &levels).await;
    }

    pub async fn search(&self, query: &str) -> api::SearchResult {
        self.public.get(&format!("/api/v1/search?{query}")).await.expect(200).parse()
    }

    /// The names that a search finds, in their order.
    pub async fn names(&self, query: &str) -> Vec<String> {
        self.search(query).await.items.into_iter().map(|product| product.name).collect()
    }
}
