//! Conversion of orders to response bodies, and the final response to `POST /orders`. No I/O.

use agora_api::order as api;
use agora_outbox::StoredResponse;
use agora_vocab::Money;
use agora_web::Problem;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::domain::{
    Line, LineUnits, Order, OrderProgress, OwnPayment, PaymentStatus, Return, Shipment, ShippingTax, Shortage, State,
    Status, Tax, TaxPolicy,
};

/// URL path of an order.
pub(super) fn location(order: &Order) -> String {
    format!("/api/v1/orders/{}", order.id)
}

/// The response body of an order.
pub(super) fn wire(order: &Order) -> api::Order {
    let OrderProgress { status, payment_status, payment, .. } = order.progress;
    api::Order {
        id: order.id,
        number: order.number.clone(),
        user_id: order.user,
        status: status.as_str().to_owned(),
        payment_status: payment_status.as_str().to_owned(),
        payment_id: payment,
        items: order
            .lines
            .iter()
            .enumerate()
            .map(|(index, line)| item(line, (order.charges.discount_of(index), order.charges.tax_of(index))))
            .collect(),
        total: order.total,
        discount: order.charges.discount.as_ref().map(|discount| discount.amount),
        coupon_code: order.charges.discount.as_ref().map(|discount| discount.code.as_str().to_owned()),
        shipping_method: order.charges.shipping.as_ref().map(|shipping| shipping.method.as_str().to_owned()),
        shipping_price: order.charges.shipping.as_ref().map(|shipping| shipping.price),
        tax: order.charges.tax.as_ref().map(tax),
        shipping_tax: order.charges.shipping.as_ref().and_then(|shipping| shipping.tax.as_ref()).map(shipping_tax),
        tax_total: order.charges.tax_total(),
        shipping_address: order.address.clone().map(Into::into),
        shipments: order.shipments.iter().map(|shipment| parcel(order, shipment)).collect(),
        returns: order.returns.iter().map(|returned| order_return(order, returned)).collect(),
        version: order.version,
        expires_at: order.expires_at,
        created_at: order.created_at,
        updated_at: order.updated_at,
    }
}

fn tax(tax: &Tax) -> api::Tax {
    let Tax { country, basis_points, policy, rounding, amount, lines: _ } = tax;
    api::Tax {
        country: country.as_str().to_owned(),
        basis_points: *basis_points,
        included: *policy == TaxPolicy::Included,
        rounding: rounding.as_str().to_owned(),
        amount: *amount,
    }
}

fn shipping_tax(tax: &ShippingTax) -> api::ShippingTax {
    let ShippingTax { country, basis_points, policy, rounding, amount } = tax;
    api::ShippingTax {
        country: country.as_str().to_owned(),
        basis_points: *basis_points,
        included: *policy == TaxPolicy::Included,
        rounding: rounding.as_str().to_owned(),
        amount: *amount,
    }
}

fn parcel(order: &Order, shipment: &Shipment) -> api::Shipment {
    let Shipment { id, seller, carrier, tracking, items, created_at, delivered_at } = shipment;
    api::Shipment {
        id: *id,
        seller_id: *seller,
        status: if delivered_at.is_some() { "delivered" } else { "shipped" }.to_owned(),
        carrier: carrier.clone(),
        tracking_number: tracking.clone(),
        items: units(order, items),
        created_at: *created_at,
        delivered_at: *delivered_at,
    }
}

fn order_return(order: &Order, returned: &Return) -> api::Return {
    let Return { id, items, reason, amount, amounts: _, status, resellable, created_at, updated_at } = returned;
    api::Return {
        id: *id,
        status: status.as_str().to_owned(),
        items: units(order, items),
        reason: reason.clone(),
        amount: *amount,
        resellable: *resellable,
        created_at: *created_at,
        updated_at: *updated_at,
    }
}

fn units(order: &Order, items: &[LineUnits]) -> Vec<api::ShippedItem> {
    let item = |units: &LineUnits| {
        let line = order.line_at(units.line)?;
        let (product_id, variant) = (line.product, line.variant.as_str().to_owned());
        Some(api::ShippedItem { product_id, variant, quantity: units.quantity })
    };
    items.iter().filter_map(item).collect()
}

fn item(line: &Line, (discount, tax): (Option<Money>, Option<Money>)) -> api::Item {
    let Line { product, variant, name, quantity, price, total, brand, category, supplier, seller } = line;
    api::Item {
        product_id: *product,
        variant: variant.as_str().to_owned(),
        name: name.clone(),
        quantity: quantity.get(),
        price: *price,
        total: *total,
        discount,
        tax,
        brand: brand.clone(),
        category: category.clone(),
        supplier: supplier.clone(),
        seller_id: *seller,
    }
}

/// The final response to `POST /orders`, stored for retries; `None` while the saga has steps to take.
pub fn answer(state: &State) -> Option<StoredResponse> {
    let State { order, saga } = state;
    let OrderProgress { status, payment_status, .. } = order.progress;
    let paying = payment_status == PaymentStatus::Processing || saga.captured.is_some();
    match (status, &saga.own) {
        (Status::Created, _) => None,
        (Status::Pending | Status::Expired, _) if paying => None,
        (Status::Rejected, _) => Some(refusal(&short(saga.shortage.as_ref()))),
        (Status::Pending | Status::Cancelled | Status::Expired, Some(OwnPayment { declined: true, .. }))
            if payment_status == PaymentStatus::Failed =>
        {
            Some(refusal(&declined(order)))
        }
        _ => Some(StoredResponse { status: 201, location: Some(location(order)), body: json!(wire(order)) }),
    }
}

fn refusal(problem: &Problem) -> StoredResponse {
    StoredResponse { status: problem.status().as_u16(), location: None, body: json!(problem.to_wire()) }
}

fn short(shortage: Option<&Shortage>) -> Problem {
    let problem = Problem::new(StatusCode::CONFLICT, "INSUFFICIENT_QUANTITY");
    match shortage {
        Some(Shortage { product, requested, available }) => problem
            .detail(format!("only {available} of {requested} units can be had"))
            .extra("productId", product.map_or(Value::Null, |product| json!(product)))
            .extra("requested", *requested)
            .extra("available", *available),
        None => problem,
    }
}

fn declined(order: &Order) -> Problem {
    Problem::new(StatusCode::PAYMENT_REQUIRED, "PAYMENT_DECLINED")
        .detail("the payment was declined; the order can be paid in another way until it expires")
        .extra("orderId", order.id.to_string())
}
