//! Routes of the gateway itself.

use super::StreamQuery;
use crate::{
    BODY_BYTES_MAX, EventStream, Html, JsonObject, LastEventId,
    Policy::{Optional, User},
    Yaml,
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
        /// The document of all public routes, in OpenAPI.
        OPENAPI in Browsing = Get "/api/v1/openapi.json" Optional
            => () -> 200 JsonObject;
        /// The document of the topics, in AsyncAPI.
        ASYNCAPI in Browsing = Get "/api/v1/asyncapi.yaml" Optional
            => () -> 200 Yaml;
        /// A page that shows the routes of the API.
        EXPLORER in Browsing = Get "/api/v1/explorer" Optional
            => () -> 200 Html;
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
