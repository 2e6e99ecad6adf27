//! Routes of the gateway itself.

use super::StreamQuery;
use crate::{
    BODY_BYTES_MAX, EventStream, JsonObject, LastEventId,
    Policy::{Optional, User},
    route::routes,
};

routes! {
    /// Routes of the public port that no service behind the gateway has.
    PUBLIC in Account {
        /// A greeting.
        GREETING in Browsing = Get "/" Optional
            => () -> 200 JsonObject;
        /// For load balancers outside the cluster.
        HEALTH in Exempt = Get "/health" Optional
            => () -> 200 JsonObject;
        /// A request of GraphQL. A token may be absent or expired: products are public, and a client must be able to log in
        /// again.
        GRAPHQL in Browsing = Post "/graphql" Optional, BODY_BYTES_MAX
            => (JsonObject) -> 200 JsonObject;
        /// Subscriptions of GraphQL, over a WebSocket.
        GRAPHQL_SOCKET = Get "/graphql" User
            => () -> 101;
        /// The user's events as they happen, as server-sent events.
        EVENTS = Get "/api/v1/events" User
            => with StreamQuery, LastEventId () -> 200 EventStream;
        /// The user's events as they happen, over a WebSocket.
        WEB_SOCKET = Get "/ws" User
            => with StreamQuery, LastEventId () -> 101;
    }
}
