//! Routes of the gateway itself.

use crate::{
    Policy::{Optional, User},
    route::routes,
};

routes! {
    /// Routes of the public port that no service behind the gateway has.
    PUBLIC in Account {
        /// A greeting.
        GREETING in Browsing = Get "/" Optional;
        /// For load balancers outside the cluster.
        HEALTH in Exempt = Get "/health" Optional;
        /// The user's events as they happen, as server-sent events.
        EVENTS = Get "/api/v1/events" User;
        /// The user's events as they happen, over a WebSocket.
        WEB_SOCKET = Get "/ws" User;
    }
}
