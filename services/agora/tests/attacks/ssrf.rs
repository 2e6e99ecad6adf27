//! Addresses of webhooks that lead into the network of the shop: refused when they are written, and where only a connection
//! shows it, never connected to.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    family::Family,
    shop::comes_true,
    world::{self, World, text_of},
};

/// Addresses that are refused by their text alone.
const REFUSED: [&str; 46] = [
    "https://127.0.0.1/",
    "https://127.1.2.3/",
    "https://127.0.0.1:443/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[ff02::1]/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://127.0.0.1./",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "dict://example.com/",
    "javascript:alert(1)",
    "//example.com/",
    "https://user:pass@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com:22/",
    "https://example.com:6379/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/#@127.0.0.1/",
    "https://example.com/\r\nHost: 127.0.0.1",
];

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("addresses of webhooks");
    let send = async |method: Method, path: &str, body: Value| {
        let request = world.request(method, &format!("/api/v1/admin/webhooks{path}")).bearer_auth(&world.admin);
        world::answer(request.json(&body)).await
    };
    for url in REFUSED {
        family.expect(format!("{url:?}"), 422, send(Method::POST, "", json!({ "url": url })).await.0);
    }
    let (status, public) = send(Method::POST, "", json!({ "url": "https://receiver.example/", "active": false })).await;
    assert_eq!(status, 201, "{public}");
    let path = format!("/{}", text_of(&public["id"]));
    for url in ["https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "http://receiver.example/"] {
        family.expect(format!("a change to {url}"), 422, send(Method::PATCH, &path, json!({ "url": url })).await.0);
    }
    resolved(world, &mut family).await;
    family
}

/// A public name may have a private address, and another one at each question: it counts what the connection finds.
async fn resolved(world: &World, family: &mut Family) {
    let endpoint = json!({ "url": "https://localhost/hook", "eventTypes": ["promotion.ended"] });
    let create = world.request(Method::POST, "/api/v1/admin/webhooks").bearer_auth(&world.admin).json(&endpoint);
    let (status, created) = world::answer(create).await;
    assert_eq!(status, 201, "{created}");
    let path = format!("/api/v1/admin/webhooks/{}", text_of(&created["id"]));
    let test = world.request(Method::POST, &format!("{path}/test")).bearer_auth(&world.admin);
    let tested = world::answer(test).await;
    assert!(tested.0 < 300, "{tested:?}");
    let mut delivery = Value::Null;
    comes_true("the delivery was tried", async || {
        let list = world.request(Method::GET, &format!("{path}/deliveries")).bearer_auth(&world.admin);
        delivery = world::answer(list).await.1["items"][0].clone();
        delivery["attempts"].as_i64().is_some_and(|attempts| attempts > 0) && delivery["error"].is_string()
    })
    .await;
    let refused = text_of(&delivery["error"]).contains("no public address");
    let seen = (refused, delivery["statusCode"].clone(), delivery["answer"].clone());
    family.expect("a name with a private address", (true, Value::Null, Value::Null), seen);
}
