//! More requests than a service answers: which of them are rejected, and how soon.

use std::{collections::BTreeMap, future::IntoFuture as _, time::Duration};

use agora_gateway::LegacyAliases;
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};

use crate::{SERVICES, gateway, upstream::Upstream};

/// More than the gateway sends to one route of a service at a time, by this number.
const BEYOND: usize = 60;
const OF_ROUTE: usize = 192;
/// Longer than browsing waits.
const SHED_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test]
async fn gw7_browsing_that_its_service_does_not_answer_is_shed_and_carts_and_orders_go_on() {
    let others = Upstream::start().await;
    // Its connections are accepted by the kernel, and no process reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut addresses: BTreeMap<_, _> = SERVICES.map(|name| (name, others.address())).into();
    addresses.insert("catalog", format!("http://{}", silent.local_addr().unwrap()));
    let gateway = gateway(addresses, LegacyAliases::Disabled);
    let browse = |_| gateway.app.get("/api/v1/products").into_future();
    let mut browsing: FuturesUnordered<_> = (0..OF_ROUTE + BEYOND).map(browse).collect();
    let token = gateway.token();
    let buying = async {
        // While all of them wait.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let line = json!({ "productId": "p", "quantity": 1 });
        timeout(Duration::from_secs(1), gateway.app.post("/api/v1/cart/items", line).with(&token).into_future())
            .await
            .expect("a cart does not wait for browsing")
            .expect(201);
        let order = gateway.app.post("/api/v1/orders", json!({})).with(&token).key("k").into_future();
        timeout(Duration::from_secs(1), order).await.expect("an order does not wait for browsing").expect(201);
    };
    let shedding = async {
        for _ in 0..BEYOND {
            let shed = timeout(SHED_WITHIN, browsing.next()).await.expect("an answer").unwrap().expect(503);
            assert_eq!((shed.body["code"].as_str(), shed.header("retry-after")), (Some("UPSTREAM_BUSY"), "1"));
        }
    };
    tokio::join!(buying, shedding);
    assert_eq!(others.calls().len(), 2);
}
