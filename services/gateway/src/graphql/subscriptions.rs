//! Subscriptions: the client's own events, as they happen. Must not know where the events come from, or how the answers are
//! sent.

use std::sync::Arc;

use async_graphql::{Context, Data, Executor, ID, Json, Request, Response, SimpleObject, Subscription};
use futures::{
    StreamExt as _, future,
    stream::{self, BoxStream},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    execution::GraphQl,
    fault::request_error,
    scalars::{DateTime, Money},
};

/// Events that wait for the operations of a connection, which take each before the next one comes.
const WAITING_MAX: usize = 64;

/// First part of the types of events that say what an order is now.
const ORDER: &str = "order.";

/// The events of one client, for all operations of its connection. Clones are the same.
#[derive(Clone, Debug)]
pub struct Feed(broadcast::Sender<LiveEvent>);

/// Executes what a client sends over a connection.
#[derive(Clone, Debug)]
pub struct Operations {
    graphql: GraphQl,
    feed: Feed,
}

/// Something that happened to what the client owns: what `GET /api/v1/events` sends.
#[derive(Clone, Debug, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct LiveEvent {
    /// Its place, for `lastEventId` of `GET /api/v1/events`.
    pub cursor: String,
    /// The same at every repetition: a client ignores one that it has seen.
    pub id: ID,
    /// `order.paid`, `shipment.created`, `cart.updated`, …
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    pub time: DateTime,
    /// What it is about, by its type.
    pub data: Json<Map<String, Value>>,
}

/// What an order is since an event.
#[derive(Clone, Debug, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct OrderUpdate {
    /// The type of the event: `order.paid`, `order.cancelled`, …
    pub event: String,
    pub order_id: ID,
    pub number: String,
    pub status: String,
    pub payment_status: String,
    pub total: Money,
}

#[derive(Debug, Default)]
pub struct LiveSubscription;

/// The client's own events, as they happen.
#[Subscription(name = "Subscription")]
impl LiveSubscription {
    /// All events of the client.
    async fn events(&self, context: &Context<'_>) -> BoxStream<'static, LiveEvent> {
        context.data_unchecked::<Feed>().events()
    }

    /// The orders of the client that were placed or have another status.
    async fn orders(&self, context: &Context<'_>) -> BoxStream<'static, OrderUpdate> {
        let events = context.data_unchecked::<Feed>().events();
        events.filter_map(|event| future::ready(OrderUpdate::of(event))).boxed()
    }
}

impl Feed {
    pub fn new() -> Self {
        Self(broadcast::Sender::new(WAITING_MAX))
    }

    /// Gives an event, as clients receive it, to all operations.
    pub fn publish(&self, json: &str) {
        match serde_json::from_str(json) {
            // Nobody receives it if no operation is under way.
            Ok(event) => drop(self.0.send(event)),
            Err(error) => tracing::error!(%error, "a live event has another form than its schema"),
        }
    }

    fn events(&self) -> BoxStream<'static, LiveEvent> {
        let next = |mut events: broadcast::Receiver<LiveEvent>| async move {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    Err(RecvError::Lagged(missed)) => tracing::error!(missed, "a subscription missed events"),
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        stream::unfold(self.0.subscribe(), next).boxed()
    }
}

impl OrderUpdate {
    /// `None` for an event that is not about the order itself.
    fn of(event: LiveEvent) -> Option<Self> {
        let LiveEvent { kind, data: Json(mut data), .. } = event;
        if !kind.starts_with(ORDER) {
            return None;
        }
        data.insert("event".to_owned(), kind.into());
        let update = serde_json::from_value(data.into());
        update.inspect_err(|error| tracing::error!(%error, "an order's event has another form than its schema")).ok()
    }
}

impl Operations {
    pub fn new(graphql: GraphQl, feed: Feed) -> Self {
        Self { graphql, feed }
    }
}

impl Executor for Operations {
    fn execute(&self, _: Request) -> impl Future<Output = Response> + Send {
        let error = request_error("NOT_A_SUBSCRIPTION", "send queries and changes with POST /graphql");
        future::ready(Response::from_errors(vec![error]))
    }

    fn execute_stream(&self, sent: Request, _: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        self.graphql.subscribe(sent, self.feed.clone())
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};
    use serde_json::{Value, json};

    use super::{Feed, OrderUpdate, WAITING_MAX};

    fn event(kind: &str, data: &Value) -> String {
        json!({ "cursor": "c", "id": "1", "type": kind, "time": "2026-01-02T03:04:05Z", "data": data }).to_string()
    }

    #[tokio::test]
    async fn gw18_every_operation_gets_each_event_and_an_order_is_read_of_its_own_events_alone() {
        let feed = Feed::new();
        let [mut one, mut other] = [feed.events(), feed.events()];
        let order = json!({
            "orderId": "7", "number": "A-1000001", "status": "paid", "paymentStatus": "paid", "items": [],
            "total": { "amount": 1999, "currency": "EUR" },
        });
        feed.publish(&event("order.paid", &order));
        feed.publish(&event("cart.updated", &json!({ "cartId": "3" })));
        feed.publish("{}");
        for events in [&mut one, &mut other] {
            let [first, second] = [events.next().await.unwrap(), events.next().await.unwrap()];
            assert_eq!([first.kind.as_str(), second.kind.as_str()], ["order.paid", "cart.updated"]);
            let update = OrderUpdate::of(first).unwrap();
            assert_eq!(
                (update.event.as_str(), update.number.as_str(), update.total.amount.0),
                ("order.paid", "A-1000001", 1999)
            );
            assert!(OrderUpdate::of(second).is_none());
            assert!(events.next().now_or_never().is_none());
        }
        (0..WAITING_MAX).for_each(|_| feed.publish(&event("order.paid", &order)));
        assert_eq!(one.take(WAITING_MAX).count().await, WAITING_MAX, "none is lost");
    }
}
