//! Routes of the order service.

use super::{
    AllOrdersQuery, BeginPayment, ChangeCoupon, ChangeShippingMethod, ChangeStatus, ChangeTaxRule, Coupon,
    LatestOrders, NewCoupon, NewOrder, NewReturn, NewShipment, NewShippingMethod, NewTaxRule, Order, OrderState,
    OrdersQuery, PaymentDue, PaymentResult, ReceiveReturn, ShippingMethod, TaxRule, TopProducts,
};
use crate::{
    CursorQuery, Html, IdempotencyKey, LimitQuery, List,
    Policy::{self, Service, User},
    RequiredIdempotencyKey,
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// A page of the user's orders, newest first.
        LIST = Get "/api/v1/orders" User
            => with OrdersQuery () -> 200 List<Order>;
        /// Creates an order of the items or of the cart.
        PLACE in Checkout = Post "/api/v1/orders" User
            => with RequiredIdempotencyKey (NewOrder) -> 201 Order;
        READ = Get "/api/v1/orders/{id}" User
            => () -> 200 Order;
        /// The invoice of a paid order, as an HTML page.
        INVOICE = Get "/api/v1/orders/{id}/invoice" User
            => () -> 200 Html;
        /// Advances an order to a later status.
        ADVANCE in Admin = Patch "/api/v1/orders/{id}" Policy::WAREHOUSE
            => with IdempotencyKey (ChangeStatus) -> 200 Order;
        /// Cancels an order that is not shipped yet.
        CANCEL in Checkout = Delete "/api/v1/orders/{id}" User
            => with IdempotencyKey () -> 200 Order;
        /// Adds a parcel with units of the order.
        SHIP in Admin = Post "/api/v1/orders/{id}/shipments" Policy::WAREHOUSE
            => with RequiredIdempotencyKey (NewShipment) -> 201 Order;
        /// Marks a parcel as delivered.
        DELIVER in Admin = Post "/api/v1/orders/{id}/shipments/{shipmentId}/deliver" Policy::WAREHOUSE
            => with IdempotencyKey () -> 200 Order;
        /// Requests the return of delivered units.
        REQUEST_RETURN = Post "/api/v1/orders/{id}/returns" User
            => with RequiredIdempotencyKey (NewReturn) -> 201 Order;
        ACCEPT_RETURN in Admin = Post "/api/v1/orders/{id}/returns/{returnId}/accept" Policy::SUPPORT
            => with IdempotencyKey () -> 200 Order;
        REJECT_RETURN in Admin = Post "/api/v1/orders/{id}/returns/{returnId}/reject" Policy::SUPPORT
            => with IdempotencyKey () -> 200 Order;
        /// Records that the units arrived, which refunds their price.
        RECEIVE_RETURN in Admin = Post "/api/v1/orders/{id}/returns/{returnId}/receive" Policy::WAREHOUSE
            => with IdempotencyKey (ReceiveReturn) -> 200 Order;
        /// A page of the coupons, by code.
        LIST_COUPONS in Admin = Get "/api/v1/admin/coupons" Policy::CATALOG
            => with CursorQuery () -> 200 List<Coupon>;
        CREATE_COUPON in Admin = Post "/api/v1/admin/coupons" Policy::CATALOG
            => with IdempotencyKey (NewCoupon) -> 201 Coupon;
        READ_COUPON in Admin = Get "/api/v1/admin/coupons/{code}" Policy::CATALOG
            => () -> 200 Coupon;
        /// Changes when and how often a coupon can be used.
        CHANGE_COUPON in Admin = Patch "/api/v1/admin/coupons/{code}" Policy::CATALOG
            => with IdempotencyKey (ChangeCoupon) -> 200 Coupon;
        /// A page of the shipping methods, by code.
        LIST_SHIPPING_METHODS in Admin = Get "/api/v1/admin/shipping-methods" Policy::ADMIN
            => with CursorQuery () -> 200 List<ShippingMethod>;
        CREATE_SHIPPING_METHOD in Admin = Post "/api/v1/admin/shipping-methods" Policy::ADMIN
            => with IdempotencyKey (NewShippingMethod) -> 201 ShippingMethod;
        READ_SHIPPING_METHOD in Admin = Get "/api/v1/admin/shipping-methods/{code}" Policy::ADMIN
            => () -> 200 ShippingMethod;
        CHANGE_SHIPPING_METHOD in Admin = Patch "/api/v1/admin/shipping-methods/{code}" Policy::ADMIN
            => with IdempotencyKey (ChangeShippingMethod) -> 200 ShippingMethod;
        /// A page of the tax rules, by country and category.
        LIST_TAX_RULES in Admin = Get "/api/v1/admin/tax-rules" Policy::FINANCE
            => with CursorQuery () -> 200 List<TaxRule>;
        CREATE_TAX_RULE in Admin = Post "/api/v1/admin/tax-rules" Policy::FINANCE
            => with IdempotencyKey (NewTaxRule) -> 201 TaxRule;
        /// The rule of a country for goods.
        READ_TAX_RULE in Admin = Get "/api/v1/admin/tax-rules/{country}" Policy::FINANCE
            => () -> 200 TaxRule;
        CHANGE_TAX_RULE in Admin = Patch "/api/v1/admin/tax-rules/{country}" Policy::FINANCE
            => with IdempotencyKey (ChangeTaxRule) -> 200 TaxRule;
        /// The rule of a country for `goods` or `shipping`.
        READ_TAX_RULE_OF in Admin = Get "/api/v1/admin/tax-rules/{country}/{category}" Policy::FINANCE
            => () -> 200 TaxRule;
        CHANGE_TAX_RULE_OF in Admin = Patch "/api/v1/admin/tax-rules/{country}/{category}" Policy::FINANCE
            => with IdempotencyKey (ChangeTaxRule) -> 200 TaxRule;
        /// A page of the orders of all users.
        LIST_ALL in Admin = Get "/api/v1/admin/orders" Policy::ORDERS
            => with AllOrdersQuery () -> 200 List<Order>;
        /// What sold most.
        TOP_PRODUCTS in Admin = Get "/api/v1/admin/reports/top-products" Policy::FINANCE
            => with LimitQuery () -> 200 TopProducts;
        /// The latest orders with their users.
        LATEST_ORDERS in Admin = Get "/api/v1/admin/reports/latest-orders" Policy::FINANCE
            => () -> 200 LatestOrders;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Begins a payment that a shopper requested at the payment service; idempotent by payment.
        BEGIN_PAYMENT = Post "/internal/v1/orders/{id}/begin-payment" Service(&["payment"])
            => (BeginPayment) -> 200 PaymentDue;
        /// Delivers a payment result; idempotent by result.
        PAYMENT_RESULT = Post "/internal/v1/orders/{id}/payment-result" Service(&["payment"])
            => (PaymentResult) -> 200 OrderState;
    }
}
