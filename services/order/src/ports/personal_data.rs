//! What is stored about persons whose accounts were erased.

use std::time::Duration;

use agora_outbox::StoreError;
use agora_vocab::OrderId;
use async_trait::async_trait;

/// All tables of this service, as far as they are about one person. Who is erased is said by
/// [`super::Reports::save_customers`].
#[async_trait]
pub trait PersonalData: Send + Sync {
    /// Takes an erased user who is due: removes shipping address and reasons of returns from at most `limit` of the user's
    /// ended orders and from their histories, and deletes the stored results of the user's requests. Returns the orders,
    /// `None` if nobody is due. The user is due again at once if there may be more such orders, and after `pause` while
    /// orders are under way, or may still be created by a request from before the erasure.
    async fn erase_ended_orders(&self, limit: u16, pause: Duration) -> Result<Option<Vec<OrderId>>, StoreError>;
}
