//! Bodies that are too large to be held: they pass as they arrive.

use std::time::Duration;

use agora_api::{IMPORT_BODY_BYTES_MAX, catalog::routes::IMPORT};
use agora_chassis::Process;
use agora_gateway::LegacyAliases;
use agora_vocab::{Role, UserId};
use axum::{
    body::{Body, Bytes},
    http::{Request, StatusCode},
};
use futures::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::oneshot,
    time::timeout,
};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{Gateway, SERVICES, before, gateway, upstream::Upstream};

/// Longer than any part of a body needs.
const PATIENCE: Duration = Duration::from_secs(20);

impl Gateway {
    fn import(&self, body: Body) -> Request<Body> {
        let admin = self.keys.token(UserId::new(Uuid::from_u128(8)), &[Role::Admin]);
        let request =
            Request::post(IMPORT.path).header("host", "shop").header("authorization", format!("Bearer {admin}"));
        request.body(body).unwrap()
    }
}

#[tokio::test]
async fn a_service_has_the_first_part_of_a_large_body_before_the_client_sends_the_last() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, first_arrived) = oneshot::channel();
    Process::for_test("catalog").spawn("server", async move {
        let (mut tcp, _) = listener.accept().await?;
        let (mut seen, mut arrived) = (String::new(), Some(arrived));
        let mut some = [0; 4096];
        while !seen.contains("last line") {
            let count = tcp.read(&mut some).await?;
            seen.push_str(&String::from_utf8_lossy(&some[..count]));
            if seen.contains("first line")
                && let Some(arrived) = arrived.take()
            {
                arrived.send(()).unwrap();
            }
        }
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        Ok(())
    });
    let gateway = gateway(SERVICES.map(|name| (name, address.clone())).into(), LegacyAliases::Disabled);
    let first = stream::once(async { Ok::<_, std::io::Error>("first line\n") });
    let last = stream::once(async {
        first_arrived.await.unwrap();
        Ok("last line\n")
    });
    let request = gateway.import(Body::from_stream(first.chain(last)));
    let answer = timeout(PATIENCE, gateway.router.clone().oneshot(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_large_body_is_413_beyond_the_limit_of_its_route_and_no_service_has_all_of_it() {
    const PART_BYTES: usize = 1 << 20;
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let parts = |count: usize| {
        let part = Bytes::from(vec![b'x'; PART_BYTES]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
    };
    let send = async |count: usize| {
        let answer = gateway.router.clone().oneshot(gateway.import(parts(count)));
        timeout(PATIENCE, answer).await.unwrap().unwrap().status()
    };
    let most = IMPORT_BODY_BYTES_MAX / PART_BYTES;
    assert_eq!(send(most + 1).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(upstream.calls().is_empty());
    assert_eq!(send(2).await, StatusCode::CREATED);
    assert_eq!(upstream.calls()[0].body.len(), 2 * PART_BYTES);
}

#[tokio::test]
async fn a_large_body_whose_client_leaves_is_no_fault_of_the_service() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let parts = [Ok("first line\n"), Err(std::io::Error::other("the client left"))];
    let answer = gateway.router.clone().oneshot(gateway.import(Body::from_stream(stream::iter(parts))));
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(upstream.calls().is_empty());
}
