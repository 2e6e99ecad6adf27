//! Routes of the catalog service.

use crate::{
    IMPORT_BODY_BYTES_MAX, PRODUCT_BODY_BYTES_MAX,
    Policy::{self, Optional, Service},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Browsing {
        /// A page of products.
        LIST = Get "/api/v1/products" Optional;
        /// Creates a product with its initial stock.
        CREATE in Admin = Post "/api/v1/products" Policy::CATALOG, PRODUCT_BODY_BYTES_MAX;
        /// Available units of up to 100 products.
        STOCK = Post "/api/v1/products/stock" Optional;
        READ = Get "/api/v1/products/{id}" Optional;
        /// Changes a product; needs its version.
        CHANGE in Admin = Patch "/api/v1/products/{id}" Policy::CATALOG, PRODUCT_BODY_BYTES_MAX;
        /// Deletes a product.
        DELETE in Admin = Delete "/api/v1/products/{id}" Policy::CATALOG;
        /// Sets or adjusts the stock of a product.
        ADJUST_STOCK in Admin = Put "/api/v1/products/{id}/inventory" Policy::WAREHOUSE;
        /// A drawn picture of a product, for one without a photograph.
        PICTURE = Get "/api/v1/products/{id}/image.svg" Optional;
        /// All products in the order of their ids, one a line.
        EXPORT_PRODUCTS in Admin = Get "/api/v1/admin/products/export" Policy::CATALOG;
        /// Creates and changes the products of up to 100,000 lines; a repetition with the same id continues.
        IMPORT in Admin = Post "/api/v1/admin/products/import" Policy::CATALOG, IMPORT_BODY_BYTES_MAX;
        /// The progress of an import.
        READ_IMPORT in Admin = Get "/api/v1/admin/products/imports/{id}" Policy::CATALOG;
        /// A page of the variants of a product, by name.
        LIST_VARIANTS = Get "/api/v1/products/{id}/variants" Optional;
        CREATE_VARIANT in Admin = Post "/api/v1/products/{id}/variants" Policy::CATALOG;
        READ_VARIANT = Get "/api/v1/products/{id}/variants/{variant}" Optional;
        /// Changes a variant; needs its version.
        CHANGE_VARIANT in Admin = Patch "/api/v1/products/{id}/variants/{variant}" Policy::CATALOG;
        /// Deletes a variant of which no units are on hand.
        DELETE_VARIANT in Admin = Delete "/api/v1/products/{id}/variants/{variant}" Policy::CATALOG;
        /// A page of the categories, by name.
        LIST_CATEGORIES = Get "/api/v1/categories" Optional;
        CREATE_CATEGORY in Admin = Post "/api/v1/categories" Policy::CATALOG;
        READ_CATEGORY = Get "/api/v1/categories/{id}" Optional;
        /// Changes a category; needs its version.
        CHANGE_CATEGORY in Admin = Patch "/api/v1/categories/{id}" Policy::CATALOG;
        /// Deletes a category that no product has.
        DELETE_CATEGORY in Admin = Delete "/api/v1/categories/{id}" Policy::CATALOG;
        /// A page of the brands, by name.
        LIST_BRANDS = Get "/api/v1/brands" Optional;
        CREATE_BRAND in Admin = Post "/api/v1/brands" Policy::CATALOG;
        READ_BRAND = Get "/api/v1/brands/{id}" Optional;
        /// Changes a brand; needs its version.
        CHANGE_BRAND in Admin = Patch "/api/v1/brands/{id}" Policy::CATALOG;
        /// Deletes a brand that no product has.
        DELETE_BRAND in Admin = Delete "/api/v1/brands/{id}" Policy::CATALOG;
        /// A page of the suppliers, by name.
        LIST_SUPPLIERS in Admin = Get "/api/v1/suppliers" Policy::CATALOG;
        CREATE_SUPPLIER in Admin = Post "/api/v1/suppliers" Policy::CATALOG;
        READ_SUPPLIER in Admin = Get "/api/v1/suppliers/{id}" Policy::CATALOG;
        /// Changes a supplier; needs its version.
        CHANGE_SUPPLIER in Admin = Patch "/api/v1/suppliers/{id}" Policy::CATALOG;
        /// Deletes a supplier that no product has.
        DELETE_SUPPLIER in Admin = Delete "/api/v1/suppliers/{id}" Policy::CATALOG;
        /// A page of the places where warehouses stand, by name.
        LIST_LOCATIONS in Admin = Get "/api/v1/locations" Policy::WAREHOUSE;
        CREATE_LOCATION in Admin = Post "/api/v1/locations" Policy::WAREHOUSE;
        READ_LOCATION in Admin = Get "/api/v1/locations/{id}" Policy::WAREHOUSE;
        /// Changes a location of warehouses; needs its version.
        CHANGE_LOCATION in Admin = Patch "/api/v1/locations/{id}" Policy::WAREHOUSE;
        /// Deletes a location of warehouses that no warehouse has.
        DELETE_LOCATION in Admin = Delete "/api/v1/locations/{id}" Policy::WAREHOUSE;
        /// A page of the warehouses, by name.
        LIST_WAREHOUSES in Admin = Get "/api/v1/warehouses" Policy::WAREHOUSE;
        CREATE_WAREHOUSE in Admin = Post "/api/v1/warehouses" Policy::WAREHOUSE;
        READ_WAREHOUSE in Admin = Get "/api/v1/warehouses/{id}" Policy::WAREHOUSE;
        /// Changes a warehouse; needs its version.
        CHANGE_WAREHOUSE in Admin = Patch "/api/v1/warehouses/{id}" Policy::WAREHOUSE;
        /// Deletes a warehouse that never had stock.
        DELETE_WAREHOUSE in Admin = Delete "/api/v1/warehouses/{id}" Policy::WAREHOUSE;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Products with their stock rows, one JSON value a line, in the order of their ids: some hundreds after the id of the
        /// parameter `after`, and none at the end.
        EXPORT = Get "/internal/v1/products/export" Service(&["search"]);
        /// Current prices and stock of up to 100 products.
        QUOTE = Post "/internal/v1/quote" Service(&["cart", "order"]);
        /// Reserves all lines of an order or none; idempotent by order and reservation number.
        RESERVE = Post "/internal/v1/reserve" Service(&["order"]);
        /// Commits a reservation; idempotent.
        COMMIT = Post "/internal/v1/commit" Service(&["order"]);
        /// Releases a reservation, or blocks one that arrives later; idempotent.
        RELEASE = Post "/internal/v1/release" Service(&["order"]);
        /// Puts units of a committed reservation back into stock; idempotent by return.
        TAKE_BACK = Post "/internal/v1/take-back" Service(&["order"]);
    }
}
