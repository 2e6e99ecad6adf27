//! Serves one WebSocket: sends what its subscription gives, answers pings, and closes with a code that says why.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use tokio::time::timeout;

use crate::push::{EndReason, Item, Subscription};

/// Largest message of a client, in bytes: it has nothing to say but pings.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
/// Bytes that are read at once.
pub const READ_BUFFER_BYTES: usize = 1 << 10;
/// Time for a client to take the last message and the close code.
pub const CLOSE_MAX: Duration = Duration::from_secs(2);
/// Close code for a client that sends messages (RFC 6455, 7.4.1: a violation of the policy).
const POLICY_VIOLATION: u16 = 1008;

/// The upgrade with small buffers: the default ones would take 128 KiB for each stream.
pub fn limited(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
}

/// Serves until the client leaves or the subscription ends.
pub async fn serve(mut socket: WebSocket, mut subscription: Subscription) {
    let ended = subscription.end_token();
    let close = loop {
        tokio::select! {
            biased;
            item = subscription.next() => match item {
                Ok(item) => {
                    // A client that reads nothing must not hold up the end.
                    let sent = tokio::select! {
                        biased;
                        () = ended.cancelled() => break frame(subscription.end_reason()),
                        sent = socket.send(message(&item)) => sent,
                    };
                    if sent.is_err() {
                        return;
                    }
                }
                Err(reason) => break frame(reason),
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                    break CloseFrame { code: POLICY_VIOLATION, reason: Utf8Bytes::from_static("send no messages") };
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    };
    let closing = async {
        if socket.send(Message::Close(Some(close))).await.is_ok() {
            // The client answers with a close of its own.
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    if timeout(CLOSE_MAX, closing).await.is_err() {
        tracing::debug!("a client did not take the end of its stream");
    }
}

fn message(item: &Item) -> Message {
    match item {
        Item::Event(message) => Message::Text(Utf8Bytes::from(&message.json)),
        Item::Reset => Message::Text(Utf8Bytes::from_static(r#"{"type":"reset"}"#)),
        Item::Heartbeat => Message::Ping(axum::body::Bytes::new()),
    }
}

/// The close that says why a stream ends.
pub fn frame(reason: EndReason) -> CloseFrame {
    CloseFrame { code: reason.close_code(), reason: Utf8Bytes::from_static(reason.text()) }
}
