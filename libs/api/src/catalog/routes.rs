//! Routes of the catalog service.

use crate::{
    PRODUCT_BODY_BYTES_MAX,
    Policy::{self, Optional, Service},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC {
        /// A page of products.
        LIST = Get "/api/v1/products" Optional;
        /// Creates a product with its initial stock.
        CREATE = Post "/api/v1/products" Policy::ADMIN, PRODUCT_BODY_BYTES_MAX;
        /// Available units of up to 100 products.
        STOCK = Post "/api/v1/products/stock" Optional;
        READ = Get "/api/v1/products/{id}" Optional;
        /// Changes a product; needs its version.
        CHANGE = Patch "/api/v1/products/{id}" Policy::ADMIN, PRODUCT_BODY_BYTES_MAX;
        /// Deletes a product.
        DELETE = Delete "/api/v1/products/{id}" Policy::ADMIN;
        /// Sets or adjusts the stock of a product.
        ADJUST_STOCK = Put "/api/v1/products/{id}/inventory" Policy::ADMIN;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL {
        /// Products with their stock rows, one JSON value a line, in the order of their ids: some hundreds after the id of the
        /// parameter `after`, and none at the end.
        EXPORT = Get "/internal/v1/products/export" Service;
        /// Current prices and stock of up to 100 products.
        QUOTE = Post "/internal/v1/quote" Service;
        /// Reserves all lines of an order or none; idempotent by order and reservation number.
        RESERVE = Post "/internal/v1/reserve" Service;
        /// Commits a reservation; idempotent.
        COMMIT = Post "/internal/v1/commit" Service;
        /// Releases a reservation, or blocks one that arrives later; idempotent.
        RELEASE = Post "/internal/v1/release" Service;
        /// Puts units of a committed reservation back into stock; idempotent by return.
        TAKE_BACK = Post "/internal/v1/take-back" Service;
    }
}
