//! Postings of the ledger, by double-entry bookkeeping.
//!
//! Pure, as all of `domain`.

use agora_vocab::{Money, PaymentId, SellerId};
use uuid::Uuid;

use super::RefundAttempt;

/// The account of the amount that the provider owes the shop.
const PROVIDER: &str = "provider";
/// The account of the amount that the shop owes a seller.
const SELLER: &str = "seller";

/// One row of the ledger: an amount that is debited to one account and credited to another. It balances by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// `capture` or `refund`.
    pub kind: &'static str,
    /// The payment of a capture, the refund of a refund. At most one posting per kind and reference exists.
    pub reference: Uuid,
    pub payment: PaymentId,
    /// The account that is debited.
    pub debit: &'static str,
    /// The account that is credited.
    pub credit: &'static str,
    /// The seller of the seller's account.
    pub seller: SellerId,
    /// The amount, positive.
    pub amount: Money,
}

impl Posting {
    /// The posting of a capture.
    pub fn capture(payment: PaymentId, amount: Money) -> Self {
        let (debit, credit) = (PROVIDER, SELLER);
        Self { kind: "capture", reference: payment.uuid(), payment, debit, credit, seller: SellerId::HOUSE, amount }
    }

    /// The posting of a refund, the reverse of a capture.
    pub fn refund(refund: &RefundAttempt) -> Self {
        let (debit, credit, payment) = (SELLER, PROVIDER, refund.payment);
        let (reference, amount) = (refund.id.uuid(), refund.amount);
        Self { kind: "refund", reference, payment, debit, credit, seller: SellerId::HOUSE, amount }
    }
}
