//! Routes of the cart service.

use crate::{
    Policy::{Service, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC {
        /// The user's cart with current prices and availability.
        VIEW = Get "/api/v1/cart" User;
        /// Adds units of a product.
        ADD_ITEM = Post "/api/v1/cart/items" User;
        /// Sets the units of a line.
        CHANGE_ITEM = Patch "/api/v1/cart/items/{id}" User;
        /// Removes a line.
        REMOVE_ITEM = Delete "/api/v1/cart/items/{id}" User;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL {
        /// Moves the lines of a user's cart into an order; idempotent by order.
        BEGIN_CHECKOUT = Post "/internal/v1/begin-checkout" Service;
        /// Returns the lines to the cart, or blocks a checkout that arrives later; idempotent by order.
        CANCEL_CHECKOUT = Post "/internal/v1/cancel-checkout" Service;
    }
}
