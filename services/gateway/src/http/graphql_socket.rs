//! Subscriptions of GraphQL over a WebSocket, by the protocol `graphql-transport-ws`. The operations of a connection share
//! one stream of the user's events, and end with it.

use std::pin::pin;

use agora_api::BODY_BYTES_MAX;
use async_graphql::http::{ClientMessage, WebSocket as Connection, WebSocketProtocols, WsMessage};
use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
};
use futures::{SinkExt as _, Stream, StreamExt as _, future, stream::SplitStream};
use serde::de::Error as _;
use tokio::time::timeout;

use super::web_socket::{CLOSE_MAX, READ_BUFFER_BYTES, frame};
use crate::{
    graphql::{Feed, GraphQl, Operations},
    push::{Item, Subscription},
};

/// The protocol of the WebSocket.
pub const PROTOCOL: &str = "graphql-transport-ws";

/// Operations that are begun over one connection, which lives as long as an access token.
const OPERATIONS_MAX: usize = 100;

/// Longest reason in a close frame, in bytes: a control frame holds 125, with the code.
const REASON_BYTES_MAX: usize = 123;

/// The upgrade with a small buffer, and with messages that are as large as the body of a request.
pub fn limited(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(BODY_BYTES_MAX)
        .max_frame_size(BODY_BYTES_MAX)
}

/// Serves until the client leaves or the subscription ends.
pub async fn serve(socket: WebSocket, mut subscription: Subscription, graphql: GraphQl) {
    let (mut sink, messages) = socket.split();
    let feed = Feed::new();
    let operations = Operations::new(graphql, feed.clone());
    let connection = Connection::from_message_stream(operations, read(messages), WebSocketProtocols::GraphQLWS);
    let mut connection = pin!(connection);
    let ended = subscription.end_token();
    let close = loop {
        // Answers first: each event is answered before the next one.
        let message = tokio::select! {
            biased;
            () = ended.cancelled() => break frame(subscription.end_reason()),
            answer = connection.next() => match answer {
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(code, reason)) => break CloseFrame { code, reason: short(&reason).into() },
                None => return,
            },
            item = subscription.next() => match item {
                Ok(Item::Event(event)) => {
                    feed.publish(&event.json);
                    continue;
                }
                Ok(Item::Reset) => continue,
                Ok(Item::Heartbeat) => Message::Ping(Bytes::new()),
                Err(reason) => break frame(reason),
            },
        };
        // A client that reads nothing must not hold up the end.
        let sent = tokio::select! {
            biased;
            () = ended.cancelled() => break frame(subscription.end_reason()),
            sent = sink.send(message) => sent,
        };
        if sent.is_err() {
            return;
        }
    };
    let closing = async {
        if sink.send(Message::Close(Some(close))).await.is_ok() {
            // The client answers with a close of its own.
            while connection.next().await.is_some() {}
        }
    };
    if timeout(CLOSE_MAX, closing).await.is_err() {
        tracing::debug!("a client did not take the end of its subscriptions");
    }
}

/// What the client sends, until it leaves.
fn read(messages: SplitStream<WebSocket>) -> impl Stream<Item = serde_json::Result<ClientMessage>> + Send {
    let mut begun = 0;
    let messages = messages.take_while(|message| future::ready(!matches!(message, Ok(Message::Close(_)) | Err(_))));
    messages.filter_map(move |message| {
        future::ready(match message {
            Ok(Message::Text(text)) => Some(parse(&text, &mut begun)),
            Ok(Message::Binary(_)) => Some(Err(serde_json::Error::custom("send messages as text"))),
            _ => None,
        })
    })
}

/// A message. `begun` counts the operations.
fn parse(text: &str, begun: &mut usize) -> serde_json::Result<ClientMessage> {
    let message = ClientMessage::from_bytes(text)?;
    if matches!(message, ClientMessage::Start { .. }) {
        *begun += 1;
        if *begun > OPERATIONS_MAX {
            let most = format!("a connection begins at most {OPERATIONS_MAX} operations: open another one");
            return Err(serde_json::Error::custom(most));
        }
    }
    Ok(message)
}

fn short(reason: &str) -> String {
    let fitting = reason.char_indices().take_while(|(at, letter)| at + letter.len_utf8() <= REASON_BYTES_MAX);
    fitting.map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use super::{OPERATIONS_MAX, REASON_BYTES_MAX, parse, short};

    #[test]
    fn gw18_a_connection_begins_a_limited_number_of_operations() {
        let mut begun = 0;
        let subscribe =
            r#"{"type": "subscribe", "id": "1", "payload": {"query": "subscription { orders { number } }"}}"#;
        for _ in 0..OPERATIONS_MAX {
            parse(subscribe, &mut begun).unwrap();
        }
        parse(r#"{"type": "ping"}"#, &mut begun).unwrap();
        assert!(parse(subscribe, &mut begun).is_err());
        assert!(parse("{}", &mut 0).is_err() && parse(r#"{"type": "order"}"#, &mut 0).is_err());
    }

    #[test]
    fn gw18_a_reason_fits_into_a_close_frame() {
        assert_eq!(short("too many"), "too many");
        let long = short(&"ä".repeat(100));
        assert_eq!((long.len(), long.chars().count()), (REASON_BYTES_MAX - 1, 61));
    }
}
