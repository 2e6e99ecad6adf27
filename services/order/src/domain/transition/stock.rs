//! Transitions that responses of the catalog cause: about the reservation of an order's stock. No I/O.

use super::Transition;
use crate::domain::{Hold, PaymentStatus, Shortage, Status};

impl Transition<'_> {
    pub(super) fn stock_reserved(&mut self, hold: i32) {
        match self.progress.status {
            Status::Created => {
                self.progress.status = Status::Pending;
                (self.progress.hold, self.saga.hold) = (hold, Hold::Held);
                if let Some((payment, ..)) = self.saga.unsettled_own_payment() {
                    self.progress.payment_status = PaymentStatus::Processing;
                    self.progress.payment = Some(payment);
                    self.saga.paying_since = Some(self.now);
                }
            }
            Status::Pending | Status::Expired if self.saga.captured.is_some() && hold > self.progress.hold => {
                (self.progress.hold, self.saga.hold) = (hold, Hold::Held);
            }
            _ => {}
        }
    }

    pub(super) fn stock_unavailable(&mut self, hold: i32, shortage: Shortage) {
        match (self.progress.status, self.saga.captured) {
            (Status::Created, _) => {
                self.end(Status::Rejected);
                self.saga.hold = Hold::Gone;
                self.saga.shortage = Some(shortage);
                self.saga.cancel_checkout = self.order.cart.is_some();
            }
            (status @ (Status::Pending | Status::Expired), Some(payment)) if hold > self.progress.hold => {
                self.saga.captured = None;
                self.refund(payment);
                if self.progress.payment_status == PaymentStatus::Processing {
                    self.progress.payment_status = PaymentStatus::Paid;
                }
                if status == Status::Pending {
                    self.end(Status::Cancelled);
                }
            }
            _ => {}
        }
    }

    pub(super) fn stock_committed(&mut self, hold: i32) {
        if self.saga.captured.is_none() || hold != self.progress.hold || self.saga.hold != Hold::Held {
            return;
        }
        self.progress.status = Status::Paid;
        self.progress.payment = self.saga.captured.take();
        if self.progress.payment_status == PaymentStatus::Processing {
            self.progress.payment_status = PaymentStatus::Paid;
        }
        self.saga.hold = Hold::Committed;
        self.clear_payment();
    }

    pub(super) fn reservation_lost(&mut self, hold: i32) {
        if hold == self.progress.hold && self.saga.hold == Hold::Held {
            self.saga.hold = Hold::Gone;
        }
    }

    pub(super) fn stock_released(&mut self, hold: i32) {
        if hold == self.progress.hold.max(1) && self.saga.hold == Hold::Ending {
            self.saga.hold = Hold::Gone;
        }
    }
}
