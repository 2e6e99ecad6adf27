//! Routes of the search service.

use super::{CompleteQuery, Progress, SearchQuery, SearchResult, SearchedProductsQuery, Suggestion};
use crate::{
    List,
    Policy::{self, Optional},
    catalog::Product,
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Browsing {
        /// A page of products by text and filters, with the values of the filters.
        SEARCH = Get "/api/v1/search" Optional
            => with SearchQuery () -> 200 SearchResult;
        /// Completions of a text that is being typed.
        COMPLETE = Get "/api/v1/search/suggestions" Optional
            => with CompleteQuery () -> 200 List<Suggestion>;
        /// A page of products with the parameters and the answer of the catalog's list, which the gateway sends here if it has a
        /// text to search for.
        PRODUCTS = Get "/api/v1/search/products" Optional
            => with SearchedProductsQuery () -> 200 List<Product>;
        /// Begins to build the index from the catalog, unless it is being built.
        REBUILD in Admin = Post "/api/v1/admin/search/rebuild" Policy::CATALOG
            => () -> 202 Progress;
        /// How far the index is built.
        PROGRESS in Admin = Get "/api/v1/admin/search/rebuild" Policy::CATALOG
            => () -> 200 Progress;
    }
}
