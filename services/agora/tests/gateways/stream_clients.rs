//! Clients of the streams of events.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::StatusCode},
};

use super::{Gateway, PATIENCE, Shop};

/// A client of server-sent events.
pub struct EventSource {
    response: reqwest::Response,
    unread: String,
}

/// One server-sent event; comments are none.
#[derive(Debug, Default, PartialEq)]
pub struct ServerEvent {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

impl EventSource {
    pub async fn connect(shop: &Shop, gateway: &Gateway, token: &str, last: Option<&str>) -> Self {
        let mut request = shop.http.get(format!("http://{}/api/v1/events", gateway.address)).bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, unread: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let event = parse(block);
                self.unread = rest.to_owned();
                if let Some(event) = event {
                    return Some(event);
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event").unwrap()?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Whether no event comes for a while.
    pub async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(500), self.next()).await.is_err()
    }
}

fn parse(block: &str) -> Option<ServerEvent> {
    let mut event = ServerEvent::default();
    for (name, value) in block.lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "id" => value.clone_into(&mut event.id),
            "event" => value.clone_into(&mut event.kind),
            "data" => event.data = serde_json::from_str(value).unwrap(),
            _ => {}
        }
    }
    (!event.kind.is_empty()).then_some(event)
}

/// A client of the WebSocket, as a browser is one: the token is among the protocols.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub async fn connect(gateway: &Gateway, token: &str, query: &str) -> Self {
        Self::try_connect(gateway, token, query, "https://shop.example", None).await.unwrap()
    }

    /// The status of a refused handshake is the error.
    pub async fn try_connect(
        gateway: &Gateway,
        token: &str,
        query: &str,
        origin: &str,
        receive_buffer: Option<u32>,
    ) -> Result<Self, StatusCode> {
        let (path, protocol) = (format!("/ws{query}"), "agora.events.v1");
        Self::handshake(gateway, (&path, protocol), token, origin, receive_buffer).await
    }

    /// A connection for subscriptions of GraphQL. The status of a refused handshake is the error.
    pub async fn try_graphql(gateway: &Gateway, token: &str, origin: &str) -> Result<Self, StatusCode> {
        Self::handshake(gateway, ("/graphql", "graphql-transport-ws"), token, origin, None).await
    }

    async fn handshake(
        gateway: &Gateway,
        (path, protocol): (&str, &str),
        token: &str,
        origin: &str,
        receive_buffer: Option<u32>,
    ) -> Result<Self, StatusCode> {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let tcp = socket.connect(gateway.address.parse().unwrap()).await.unwrap();
        let mut request = format!("ws://{}{path}", gateway.address).into_client_request().unwrap();
        let protocols = format!("{protocol}, bearer.{token}");
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        match timeout(PATIENCE, client_async(request, tcp)).await.expect("an answer") {
            Ok((socket, response)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
                Ok(Self(socket))
            }
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message, or the code of the close; `None` if the connection ended without one.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    pub async fn send(&mut self, text: &'static str) {
        self.0.send(Message::text(text)).await.unwrap();
    }
}
