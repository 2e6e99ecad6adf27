//! Routes of the order service.

use crate::{
    Policy::{self, Service, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// A page of the user's orders, newest first.
        LIST = Get "/api/v1/orders" User;
        /// Creates an order of the items or of the cart.
        PLACE in Checkout = Post "/api/v1/orders" User;
        READ = Get "/api/v1/orders/{id}" User;
        /// The invoice of a paid order, as an HTML page.
        INVOICE = Get "/api/v1/orders/{id}/invoice" User;
        /// Advances an order to a later status.
        ADVANCE in Admin = Patch "/api/v1/orders/{id}" Policy::WAREHOUSE;
        /// Cancels an order that is not shipped yet.
        CANCEL in Checkout = Delete "/api/v1/orders/{id}" User;
        /// Adds a parcel with units of the order.
        SHIP in Admin = Post "/api/v1/orders/{id}/shipments" Policy::WAREHOUSE;
        /// Marks a parcel as delivered.
        DELIVER in Admin = Post "/api/v1/orders/{id}/shipments/{shipmentId}/deliver" Policy::WAREHOUSE;
        /// Requests the return of delivered units.
        REQUEST_RETURN = Post "/api/v1/orders/{id}/returns" User;
        ACCEPT_RETURN in Admin = Post "/api/v1/orders/{id}/returns/{returnId}/accept" Policy::SUPPORT;
        REJECT_RETURN in Admin = Post "/api/v1/orders/{id}/returns/{returnId}/reject" Policy::SUPPORT;
        /// Records that the units arrived, which refunds their price.
        RECEIVE_RETURN in Admin = Post "/api/v1/orders/{id}/returns/{returnId}/receive" Policy::WAREHOUSE;
        /// A page of the coupons, by code.
        LIST_COUPONS in Admin = Get "/api/v1/admin/coupons" Policy::CATALOG;
        CREATE_COUPON in Admin = Post "/api/v1/admin/coupons" Policy::CATALOG;
        READ_COUPON in Admin = Get "/api/v1/admin/coupons/{code}" Policy::CATALOG;
        /// Changes when and how often a coupon can be used.
        CHANGE_COUPON in Admin = Patch "/api/v1/admin/coupons/{code}" Policy::CATALOG;
        /// A page of the shipping methods, by code.
        LIST_SHIPPING_METHODS in Admin = Get "/api/v1/admin/shipping-methods" Policy::ADMIN;
        CREATE_SHIPPING_METHOD in Admin = Post "/api/v1/admin/shipping-methods" Policy::ADMIN;
        READ_SHIPPING_METHOD in Admin = Get "/api/v1/admin/shipping-methods/{code}" Policy::ADMIN;
        CHANGE_SHIPPING_METHOD in Admin = Patch "/api/v1/admin/shipping-methods/{code}" Policy::ADMIN;
        /// A page of the tax rules, by country and category.
        LIST_TAX_RULES in Admin = Get "/api/v1/admin/tax-rules" Policy::FINANCE;
        CREATE_TAX_RULE in Admin = Post "/api/v1/admin/tax-rules" Policy::FINANCE;
        /// The rule of a country for goods.
        READ_TAX_RULE in Admin = Get "/api/v1/admin/tax-rules/{country}" Policy::FINANCE;
        CHANGE_TAX_RULE in Admin = Patch "/api/v1/admin/tax-rules/{country}" Policy::FINANCE;
        /// The rule of a country for `goods` or `shipping`.
        READ_TAX_RULE_OF in Admin = Get "/api/v1/admin/tax-rules/{country}/{category}" Policy::FINANCE;
        CHANGE_TAX_RULE_OF in Admin = Patch "/api/v1/admin/tax-rules/{country}/{category}" Policy::FINANCE;
        /// A page of the orders of all users.
        LIST_ALL in Admin = Get "/api/v1/admin/orders" Policy::ORDERS;
        /// What sold most.
        TOP_PRODUCTS in Admin = Get "/api/v1/admin/reports/top-products" Policy::FINANCE;
        /// The latest orders with their users.
        LATEST_ORDERS in Admin = Get "/api/v1/admin/reports/latest-orders" Policy::FINANCE;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// Begins a payment that a shopper requested at the payment service; idempotent by payment.
        BEGIN_PAYMENT = Post "/internal/v1/orders/{id}/begin-payment" Service(&["payment"]);
        /// Delivers a payment result; idempotent by result.
        PAYMENT_RESULT = Post "/internal/v1/orders/{id}/payment-result" Service(&["payment"]);
    }
}
