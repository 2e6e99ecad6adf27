//! The invoice of an order as an HTML page. What users and administrators wrote is escaped. No I/O.

use agora_vocab::Money;
use askama::Template as _;
use time::{OffsetDateTime, UtcOffset, macros::format_description};

use super::{Discount, Line, Order, PaymentStatus, ShippingCharge, ShippingTax, Status, Tax};

/// The invoice of an order that was paid at `paid_at`.
pub fn invoice(order: &Order, paid_at: OffsetDateTime) -> Result<String, askama::Error> {
    let goods = order.lines.iter().map(|line| line.total);
    let charges = &order.charges;
    let shipping_tax = charges.shipping.as_ref().and_then(|shipping| shipping.tax.as_ref());
    let page = InvoiceHtml {
        order,
        ordered_on: day(order.created_at),
        paid_on: day(paid_at),
        rows: order.lines.iter().enumerate().map(|(index, line)| Row::of(order, (index, line))).collect(),
        has_charges: charges.discount.is_some() || charges.shipping.is_some(),
        // The sum was computed when the order was created.
        goods: Money::sum(order.total.currency, goods).unwrap_or(order.total),
        discount: charges.discount.as_ref(),
        shipping: charges.shipping.as_ref(),
        tax: charges.tax.as_ref(),
        rate: charges.tax.as_ref().map(|tax| percent(tax.basis_points)).unwrap_or_default(),
        shipping_tax,
        shipping_rate: shipping_tax.map(|tax| percent(tax.basis_points)).unwrap_or_default(),
        tax_total: charges.tax_total(),
        note: note(order),
    };
    page.render()
}

#[derive(askama::Template)]
#[template(path = "invoice.html")]
struct InvoiceHtml<'a> {
    order: &'a Order,
    ordered_on: String,
    paid_on: String,
    rows: Vec<Row<'a>>,
    has_charges: bool,
    goods: Money,
    discount: Option<&'a Discount>,
    shipping: Option<&'a ShippingCharge>,
    tax: Option<&'a Tax>,
    /// Of the tax, in percent.
    rate: String,
    shipping_tax: Option<&'a ShippingTax>,
    /// Of the tax of shipping, in percent.
    shipping_rate: String,
    tax_total: Option<Money>,
    note: Option<&'static str>,
}

/// A line with its parts of the charges.
struct Row<'a> {
    line: &'a Line,
    discount: Option<Money>,
    tax: Option<Money>,
}

impl<'a> Row<'a> {
    fn of(order: &Order, (index, line): (usize, &'a Line)) -> Self {
        Self { line, discount: order.charges.discount_of(index), tax: order.charges.tax_of(index) }
    }
}

fn day(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]");
    time.to_offset(UtcOffset::UTC).format(format).unwrap_or_else(|_| "an unknown day".to_owned())
}

/// "19" for 1900 basis points, "5.5" for 550.
fn percent(basis_points: i32) -> String {
    let (whole, rest) = (basis_points / 100, basis_points % 100);
    match rest {
        0 => whole.to_string(),
        rest if rest % 10 == 0 => format!("{whole}.{}", rest / 10),
        rest => format!("{whole}.{rest:02}"),
    }
}

/// What has happened since the payment.
fn note(order: &Order) -> Option<&'static str> {
    match (order.progress.status, order.progress.payment_status) {
        (_, PaymentStatus::Refunded) | (Status::Refunded, _) => Some("The amount was refunded."),
        (_, PaymentStatus::PartiallyRefunded) => Some("A part of the amount was refunded."),
        (Status::Cancelled, _) => Some("The order was cancelled; the amount is being refunded."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_rate_is_shown_in_percent() {
        let shown = [1900, 550, 525, 5, 0, 10_000].map(percent);
        assert_eq!(shown, ["19", "5.5", "5.25", "0.05", "0", "100"]);
    }
}
