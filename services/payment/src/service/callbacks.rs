//! Results: delivered to the order, and responses that end the lease of a request.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL.

use agora_chassis::chain;
use agora_outbox::StoredResponse;
use uuid::Uuid;

use super::{Error, OrderAcknowledged, PaymentService};
use crate::{
    domain::Payment,
    ports::{OrderError, PendingOrderCallback},
};

impl PaymentService {
    /// Stores the response of a request, so that a retry receives the same one, and deletes the acknowledged callback.
    pub async fn complete_request(
        &self,
        recovery_id: Uuid,
        response: &StoredResponse,
        acknowledged: Option<&OrderAcknowledged>,
    ) -> Result<(), Error> {
        Ok(self
            .store
            .complete_request(recovery_id, response, acknowledged.map(|acknowledged| acknowledged.result))
            .await?)
    }

    /// Releases the lease after a response that is not final, so that the same key can continue at once, and deletes
    /// the acknowledged callback.
    pub async fn release_request(
        &self,
        recovery_id: Uuid,
        acknowledged: Option<&OrderAcknowledged>,
    ) -> Result<(), Error> {
        self.complete_callback(acknowledged).await?;
        Ok(self.store.release_request(recovery_id).await?)
    }

    /// Reports the result to the order. Returns none if the order service is unavailable; the worker then retries.
    pub(super) async fn report_result(&self, payment: &Payment) -> Option<OrderAcknowledged> {
        let callback = PendingOrderCallback::of(payment)?;
        match self.deliver(&callback).await {
            Ok(order_status) => Some(OrderAcknowledged { result: callback.result, order_status }),
            Err(error) => {
                tracing::warn!(
                    payment.id = %payment.id,
                    error = %chain(&error),
                    "Payment result not delivered to the order: the worker retries"
                );
                None
            }
        }
    }

    pub(super) async fn deliver(&self, callback: &PendingOrderCallback) -> Result<String, Error> {
        match self.orders.report_result(callback).await {
            Ok(status) => Ok(status),
            // A rejection without a retry delay is final; the callback is complete.
            Err(OrderError::Rejected(problem, None)) => Ok(problem.code.clone()),
            Err(error) => Err(Error::OrderUnavailable(error)),
        }
    }

    pub(super) async fn complete_callback(&self, acknowledged: Option<&OrderAcknowledged>) -> Result<(), Error> {
        match acknowledged {
            Some(acknowledged) => Ok(self.store.complete_callback(acknowledged.result).await?),
            None => Ok(()),
        }
    }
}
