//! Routes of the catalog service.

use super::{
    AfterQuery, ChangeProduct, ChangeTerm, ChangeVariant, ChangeWarehouse, CurrencyQuery, ExportedProduct, Hold,
    HoldState, Import, ImportQuery, ListedProduct, NewProduct, NewTerm, NewVariant, NewWarehouse, Product,
    ProductExportQuery, ProductLine, ProductsQuery, Quote, QuoteRequest, Reserve, Reserved, SetInventory, StockLevel,
    StockRequest, TakeBack, TakenBack, Term, Variant, Warehouse,
};
use crate::{
    Commanded, CursorQuery, IMPORT_BODY_BYTES_MAX, IdempotencyKey, IfMatch, IfNoneMatch, JsonLines, Lines, List,
    Localized, PRODUCT_BODY_BYTES_MAX,
    Policy::{self, Optional, Service},
    Svg,
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Browsing {
        /// A page of products.
        LIST = Get "/api/v1/products" Optional
            => with ProductsQuery, Localized () -> 200 List<ListedProduct>;
        /// Creates a product with its initial stock.
        CREATE in Admin = Post "/api/v1/products" Policy::CATALOG, PRODUCT_BODY_BYTES_MAX
            => with IdempotencyKey (NewProduct) -> 201 Product;
        /// Available units of up to 100 products.
        STOCK = Post "/api/v1/products/stock" Optional
            => (StockRequest) -> 200 List<StockLevel>;
        READ = Get "/api/v1/products/{id}" Optional
            => with CurrencyQuery, Localized, IfNoneMatch () -> 200 Product, 304;
        /// Changes a product; needs its version.
        CHANGE in Admin = Patch "/api/v1/products/{id}" Policy::CATALOG, PRODUCT_BODY_BYTES_MAX
            => with IdempotencyKey, IfMatch (ChangeProduct) -> 200 Product;
        /// Deletes a product.
        DELETE in Admin = Delete "/api/v1/products/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch () -> 204;
        /// Sets or adjusts the stock of a product.
        ADJUST_STOCK in Admin = Put "/api/v1/products/{id}/inventory" Policy::WAREHOUSE
            => with IdempotencyKey (SetInventory) -> 200 Product;
        /// A drawn picture of a product, for one without a photograph.
        PICTURE = Get "/api/v1/products/{id}/image.svg" Optional
            => with IfNoneMatch () -> 200 Svg, 304;
        /// All products in the order of their ids, one a line.
        EXPORT_PRODUCTS in Admin = Get "/api/v1/admin/products/export" Policy::CATALOG
            => with ProductExportQuery () -> 200 Lines<ProductLine>;
        /// Creates and changes the products of up to 100,000 lines; a repetition with the same id continues.
        IMPORT in Admin = Post "/api/v1/admin/products/import" Policy::CATALOG, IMPORT_BODY_BYTES_MAX
            => with ImportQuery (Lines<ProductLine>) -> 200 Import;
        /// The progress of an import.
        READ_IMPORT in Admin = Get "/api/v1/admin/products/imports/{id}" Policy::CATALOG
            => () -> 200 Import;
        /// A page of the variants of a product, by name.
        LIST_VARIANTS = Get "/api/v1/products/{id}/variants" Optional
            => with CursorQuery () -> 200 List<Variant>;
        CREATE_VARIANT in Admin = Post "/api/v1/products/{id}/variants" Policy::CATALOG
            => with IdempotencyKey (NewVariant) -> 201 Variant;
        READ_VARIANT = Get "/api/v1/products/{id}/variants/{variant}" Optional
            => () -> 200 Variant;
        /// Changes a variant; needs its version.
        CHANGE_VARIANT in Admin = Patch "/api/v1/products/{id}/variants/{variant}" Policy::CATALOG
            => with IdempotencyKey, IfMatch (ChangeVariant) -> 200 Variant;
        /// Deletes a variant of which no units are on hand.
        DELETE_VARIANT in Admin = Delete "/api/v1/products/{id}/variants/{variant}" Policy::CATALOG
            => with IdempotencyKey, IfMatch () -> 204;
        /// A page of the categories, by name.
        LIST_CATEGORIES = Get "/api/v1/categories" Optional
            => with CursorQuery () -> 200 List<Term>;
        CREATE_CATEGORY in Admin = Post "/api/v1/categories" Policy::CATALOG
            => with IdempotencyKey (NewTerm) -> 201 Term;
        READ_CATEGORY = Get "/api/v1/categories/{id}" Optional
            => () -> 200 Term;
        /// Changes a category; needs its version.
        CHANGE_CATEGORY in Admin = Patch "/api/v1/categories/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch (ChangeTerm) -> 200 Term;
        /// Deletes a category that no product has.
        DELETE_CATEGORY in Admin = Delete "/api/v1/categories/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch () -> 204;
        /// A page of the brands, by name.
        LIST_BRANDS = Get "/api/v1/brands" Optional
            => with CursorQuery () -> 200 List<Term>;
        CREATE_BRAND in Admin = Post "/api/v1/brands" Policy::CATALOG
            => with IdempotencyKey (NewTerm) -> 201 Term;
        READ_BRAND = Get "/api/v1/brands/{id}" Optional
            => () -> 200 Term;
        /// Changes a brand; needs its version.
        CHANGE_BRAND in Admin = Patch "/api/v1/brands/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch (ChangeTerm) -> 200 Term;
        /// Deletes a brand that no product has.
        DELETE_BRAND in Admin = Delete "/api/v1/brands/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch () -> 204;
        /// A page of the suppliers, by name.
        LIST_SUPPLIERS in Admin = Get "/api/v1/suppliers" Policy::CATALOG
            => with CursorQuery () -> 200 List<Term>;
        CREATE_SUPPLIER in Admin = Post "/api/v1/suppliers" Policy::CATALOG
            => with IdempotencyKey (NewTerm) -> 201 Term;
        READ_SUPPLIER in Admin = Get "/api/v1/suppliers/{id}" Policy::CATALOG
            => () -> 200 Term;
        /// Changes a supplier; needs its version.
        CHANGE_SUPPLIER in Admin = Patch "/api/v1/suppliers/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch (ChangeTerm) -> 200 Term;
        /// Deletes a supplier that no product has.
        DELETE_SUPPLIER in Admin = Delete "/api/v1/suppliers/{id}" Policy::CATALOG
            => with IdempotencyKey, IfMatch () -> 204;
        /// A page of the places where warehouses stand, by name.
        LIST_LOCATIONS in Admin = Get "/api/v1/locations" Policy::WAREHOUSE
            => with CursorQuery () -> 200 List<Term>;
        CREATE_LOCATION in Admin = Post "/api/v1/locations" Policy::WAREHOUSE
            => with IdempotencyKey (NewTerm) -> 201 Term;
        READ_LOCATION in Admin = Get "/api/v1/locations/{id}" Policy::WAREHOUSE
            => () -> 200 Term;
        /// Changes a location of warehouses; needs its version.
        CHANGE_LOCATION in Admin = Patch "/api/v1/locations/{id}" Policy::WAREHOUSE
            => with IdempotencyKey, IfMatch (ChangeTerm) -> 200 Term;
        /// Deletes a location of warehouses that no warehouse has.
        DELETE_LOCATION in Admin = Delete "/api/v1/locations/{id}" Policy::WAREHOUSE
            => with IdempotencyKey, IfMatch () -> 204;
        /// A page of the warehouses, by name.
        LIST_WAREHOUSES in Admin = Get "/api/v1/warehouses" Policy::WAREHOUSE
            => with CursorQuery () -> 200 List<Warehouse>;
        CREATE_WAREHOUSE in Admin = Post "/api/v1/warehouses" Policy::WAREHOUSE
            => with IdempotencyKey (NewWarehouse) -> 201 Warehouse;
        READ_WAREHOUSE in Admin = Get "/api/v1/warehouses/{id}" Policy::WAREHOUSE
            => () -> 200 Warehouse;
        /// Changes a warehouse; needs its version.
        CHANGE_WAREHOUSE in Admin = Patch "/api/v1/warehouses/{id}" Policy::WAREHOUSE
            => with IdempotencyKey, IfMatch (ChangeWarehouse) -> 200 Warehouse;
        /// Deletes a warehouse that never had stock.
        DELETE_WAREHOUSE in Admin = Delete "/api/v1/warehouses/{id}" Policy::WAREHOUSE
            => with IdempotencyKey, IfMatch () -> 204;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Products with their stock rows, one JSON value a line, in the order of their ids: some hundreds after the id of the
        /// parameter `after`, and none at the end.
        EXPORT = Get "/internal/v1/products/export" Service(&["search"])
            => with AfterQuery () -> 200 JsonLines<ExportedProduct>;
        /// Current prices and stock of up to 100 products.
        QUOTE = Post "/internal/v1/quote" Service(&["cart", "order"])
            => (QuoteRequest) -> 200 Quote;
        /// Reserves all lines of an order or none; idempotent by order and reservation number.
        RESERVE = Post "/internal/v1/reserve" Service(&["order"])
            => with Commanded (Reserve) -> 200 Reserved;
        /// Commits a reservation; idempotent.
        COMMIT = Post "/internal/v1/commit" Service(&["order"])
            => with Commanded (Hold) -> 200 HoldState;
        /// Releases a reservation, or blocks one that arrives later; idempotent.
        RELEASE = Post "/internal/v1/release" Service(&["order"])
            => with Commanded (Hold) -> 200 HoldState;
        /// Puts units of a committed reservation back into stock; idempotent by return.
        TAKE_BACK = Post "/internal/v1/take-back" Service(&["order"])
            => (TakeBack) -> 200 TakenBack;
    }
}
