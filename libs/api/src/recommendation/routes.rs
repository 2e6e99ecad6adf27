//! Routes of the recommendation service.

use super::{CountedFeedback, Feedback, Recommendation, Recomputation};
use crate::{
    IdempotencyKey, LimitQuery, List,
    Policy::{self, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Browsing {
        /// Products recommended to the user, best first, with the reason of each.
        LIST = Get "/api/v1/recommendations" User
            => with LimitQuery () -> 200 List<Recommendation>;
        /// Votes on a product; a second vote of a user replaces the first.
        VOTE = Post "/api/v1/recommendations/feedback" User
            => with IdempotencyKey (Feedback) -> 200 CountedFeedback;
        /// Whether everybody's recommendations are being computed again.
        READ_RECOMPUTATION in Admin = Get "/api/v1/admin/recommendations/recomputation" Policy::CATALOG
            => () -> 200 Recomputation;
        /// Computes everybody's recommendations again, soon; while it is requested, a second request changes nothing.
        RECOMPUTE in Admin = Post "/api/v1/admin/recommendations/recomputation" Policy::CATALOG
            => with IdempotencyKey () -> 202 Recomputation;
    }
}
