//! Routes of the cart service.

use super::{AddItem, BeginCheckout, CancelCheckout, Cart, ChangeItem, Checkout, CheckoutState, GuestCart, MergeCart};
use crate::{
    CartToken, Commanded, IdempotencyKey,
    Policy::{Open, Service, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Cart {
        /// The user's cart with current prices and availability.
        VIEW = Get "/api/v1/cart" User
            => () -> 200 Cart;
        /// Adds units of a product.
        ADD_ITEM = Post "/api/v1/cart/items" User
            => with IdempotencyKey (AddItem) -> 201 Cart;
        /// Sets the units of a line.
        CHANGE_ITEM = Patch "/api/v1/cart/items/{id}" User
            => with IdempotencyKey (ChangeItem) -> 200 Cart;
        /// Removes a line.
        REMOVE_ITEM = Delete "/api/v1/cart/items/{id}" User
            => with IdempotencyKey () -> 204;
        /// Adds the lines of a guest's cart to the user's; the guest's is gone afterwards.
        MERGE = Post "/api/v1/cart/merge" User
            => with IdempotencyKey (MergeCart) -> 200 Cart;
        /// Creates an empty cart for a visitor without a login, who is known by its token.
        CREATE_GUEST = Post "/api/v1/guest-carts" Open
            => with IdempotencyKey () -> 201 GuestCart;
        /// The cart of the token.
        VIEW_GUEST = Get "/api/v1/guest-carts/current" Open
            => with CartToken () -> 200 Cart;
        /// Adds units of a product to the cart of the token.
        ADD_GUEST_ITEM = Post "/api/v1/guest-carts/current/items" Open
            => with CartToken, IdempotencyKey (AddItem) -> 201 Cart;
        /// Sets the units of a line in the cart of the token.
        CHANGE_GUEST_ITEM = Patch "/api/v1/guest-carts/current/items/{id}" Open
            => with CartToken, IdempotencyKey (ChangeItem) -> 200 Cart;
        /// Removes a line from the cart of the token.
        REMOVE_GUEST_ITEM = Delete "/api/v1/guest-carts/current/items/{id}" Open
            => with CartToken, IdempotencyKey () -> 204;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Moves the lines of a user's cart into an order; idempotent by order.
        BEGIN_CHECKOUT = Post "/internal/v1/begin-checkout" Service(&["order"])
            => with Commanded (BeginCheckout) -> 200 Checkout;
        /// Returns the lines to the cart, or blocks a checkout that arrives later; idempotent by order.
        CANCEL_CHECKOUT = Post "/internal/v1/cancel-checkout" Service(&["order"])
            => with Commanded (CancelCheckout) -> 200 CheckoutState;
    }
}
