//! The order domain: pure data and functions, no clock, no random source, no I/O.
//!
//! Depends on the shared vocabulary and the published events; must not depend on HTTP, SQL or another service.

mod charges;
mod coupon;
mod draft;
mod history;
mod invoice;
mod limits;
mod order;
mod order_return;
mod parcels;
mod personal_data;
mod price_rules;
mod report;
mod saga;
mod shipment;
mod shipping;
mod status;
mod tax;
mod transition;
mod verify;

pub use charges::{ChargeError, ChargeTerms, Charges, Discount, charge};
pub use coupon::{Coupon, CouponChange, CouponCode, CouponRefused, CouponTerms, CouponValue, NewCoupon, uses_limit};
pub use draft::{
    DRAFT_LINES_MAX, FieldError, Method, OrderDraft, PayWith, PricingError, Product, RequestedLine, RequestedLines,
    Source, Token, price,
};
pub use history::{HistoryEntries, HistoryEntry, OrderChange, PublishedEvent, rebuild};
pub use invoice::invoice;
pub use limits::{LimitReached, UnpaidLimits};
pub use order::{CartVersion, Line, Order, OrderProgress, number};
pub use order_return::{RETURN_WINDOW, RETURNS_MAX, Return, ReturnStatus};
pub use parcels::{NewReturn, NewShipment};
pub use price_rules::PriceRules;
pub use report::{Customer, CustomerEvent, ReportedOrder, TopProduct, TopProducts};
pub use saga::{
    DueReturn, HOLD_MARGIN_SECONDS, Hold, LEASE, OwnPayment, Phase, RunnerId, STUCK_AFTER, Saga, SagaLease, Shortage,
    Step, command_id, lease, next, phase, wake_at,
};
pub use shipment::{LineUnits, SHIPMENTS_MAX, Shipment};
pub use shipping::{
    MethodCode, NewShippingMethod, SHIPPING_METHODS_MAX, ShippingChange, ShippingCharge, ShippingMethod,
    ShippingRefused, ShippingTerms,
};
pub use status::{EDGES, PAYMENT_EDGES, PaymentStatus, Status};
pub use tax::{NewTaxRule, Rounding, ShippingTax, Tax, TaxCategory, TaxChange, TaxPolicy, TaxRule, TaxTerms};
pub use transition::{
    DECLINES_MAX, Decision, Decisions, PaymentOutcome, Refused, ReturnChange, SagaEvent, State, decide, decide_all,
};
pub use verify::{Difference, StoredOrder, Unreadable};
