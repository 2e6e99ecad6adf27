//! Requests of HTTP/1.1 that two readers may take for two different ones, written to the socket as they are. What counts is
//! how many answers come, and which: a second request that hides in the first must never get one.

use std::time::Duration;

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{family::Family, world::World};

/// Silence after which no more answers are expected.
const SILENCE: Duration = Duration::from_secs(1);

/// Longest wait for the first answer.
const FIRST: Duration = Duration::from_secs(10);

struct Row {
    attack: &'static str,
    bytes: Vec<u8>,
    /// The statuses of all answers.
    expected: &'static [u16],
}

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("request smuggling");
    let rows: Vec<Row> = [lengths(world), chunks(world), heads(world), targets(world)].into_iter().flatten().collect();
    let address = world.shop.gateway.trim_start_matches("http://");
    let seen = join_all(rows.iter().map(|row| statuses(address, &row.bytes))).await;
    for (Row { attack, expected, .. }, seen) in rows.into_iter().zip(seen) {
        family.expect(attack, expected.to_vec(), seen);
    }
    // What comes after them on other connections is answered as ever.
    let after = statuses(address, &get("/api/v1/products", "")).await;
    family.expect("a request afterwards", vec![200], after);
    family
}

/// Sends bytes, and reads the statuses of all answers until the connection ends or is silent.
async fn statuses(address: &str, bytes: &[u8]) -> Vec<u16> {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    // A server may answer before it has read everything; the answer counts.
    drop(tcp.write_all(bytes).await);
    let (mut answers, mut some) = (Vec::new(), vec![0; 16 << 10]);
    let mut patience = FIRST;
    while let Ok(Ok(read @ 1..)) = timeout(patience, tcp.read(&mut some)).await {
        answers.extend_from_slice(&some[..read]);
        patience = SILENCE;
    }
    let text = String::from_utf8_lossy(&answers);
    let status = |after: &str| after.get(..3).and_then(|status| status.parse().ok());
    text.split("HTTP/1.1 ").skip(1).filter_map(status).collect()
}

fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n").into_bytes()
}

/// A read of the stock of the victim's product with this framing, and these bytes for its body.
fn post(framing: &str, body: &str) -> Vec<u8> {
    let head = "POST /api/v1/products/stock HTTP/1.1\r\nhost: shop.example\r\ncontent-type: application/json\r\n";
    format!("{head}{framing}\r\n{body}").into_bytes()
}

/// A request that hides in another one, with a token that would be worth it.
fn hidden(world: &World) -> String {
    format!("GET /api/v1/orders HTTP/1.1\r\nhost: shop.example\r\nauthorization: Bearer {}\r\n\r\n", world.victim.token)
}

/// A body that the route accepts.
fn ids(world: &World) -> String {
    format!("{{\"ids\":[\"{}\"]}}", world.victim.product)
}

/// The body in one chunk, with this after its size.
fn chunked(body: &str, extension: &str) -> String {
    format!("{:x}{extension}\r\n{body}\r\n0\r\n\r\n", body.len())
}

fn lengths(world: &World) -> Vec<Row> {
    let (body, hidden) = (ids(world), hidden(world));
    let (length, of_hidden) = (body.len(), format!("content-length: {}\r\n", hidden.len()));
    let with = |framing: &str| post(framing, &body);
    let both =
        |first: &str, second: &str| post(&format!("{first}{second}"), &format!("{}{hidden}", chunked(&body, "")));
    let (chunks, content) = ("transfer-encoding: chunked\r\n", format!("content-length: {length}\r\n"));
    let cases: [(&str, Vec<u8>, &[u16]); 12] = [
        ("a content length and then chunks", both(&content, chunks), &[200]),
        ("chunks and then a content length", both(chunks, &content), &[200]),
        ("chunks and a content length of 0", both(chunks, "content-length: 0\r\n"), &[200]),
        ("two content lengths", with(&format!("{content}content-length: {}\r\n", length + 1)), &[400]),
        ("the same content length twice", with(&format!("{content}{content}")), &[200]),
        ("a list of content lengths", with(&format!("content-length: {length}, {length}\r\n")), &[400]),
        ("a signed content length", with(&format!("content-length: +{length}\r\n")), &[400]),
        ("a negative content length", with("content-length: -1\r\n"), &[400]),
        ("a hexadecimal content length", with("content-length: 0x10\r\n"), &[400]),
        ("a content length beyond numbers", with("content-length: 18446744073709551616\r\n"), &[400]),
        ("a body of a GET", [get("/api/v1/products", &of_hidden), hidden.clone().into_bytes()].concat(), &[200]),
        ("a content length in another spelling", with(&format!("content_length: 1\r\n{content}")), &[200]),
    ];
    cases.map(|(attack, bytes, expected)| Row { attack, bytes, expected }).into()
}

fn chunks(world: &World) -> Vec<Row> {
    let (body, hidden) = (ids(world), hidden(world));
    let encoded = |encoding: &str| post(&format!("transfer-encoding: {encoding}\r\n"), &chunked(&body, ""));
    let plain = format!("{}{hidden}", chunked(&body, ""));
    let old = String::from_utf8_lossy(&encoded("chunked")).replace("HTTP/1.1", "HTTP/1.0").into_bytes();
    let cases: [(&str, Vec<u8>, &[u16]); 11] = [
        ("chunks", encoded("chunked"), &[200]),
        ("an extension of a chunk", post("transfer-encoding: chunked\r\n", &chunked(&body, ";a=\"b\";c")), &[200]),
        ("an encoding after chunks", encoded("chunked, identity"), &[400]),
        ("an unknown encoding", encoded("xchunked"), &[400]),
        ("an encoding of another kind", encoded("gzip"), &[400]),
        ("identity", encoded("identity"), &[400]),
        ("no encoding", encoded(""), &[400]),
        (
            "two encodings of which the last is not chunks",
            post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &plain),
            &[400],
        ),
        ("chunks before a colon with a space", post("transfer-encoding : chunked\r\n", &plain), &[400]),
        ("chunks in a folded line", post("transfer-encoding:\r\n chunked\r\n", &plain), &[400]),
        ("chunks of HTTP/1.0", old, &[400]),
    ];
    cases.map(|(attack, bytes, expected)| Row { attack, bytes, expected }).into()
}

fn heads(world: &World) -> Vec<Row> {
    let products = |headers: &str| get("/api/v1/products", headers);
    let lines = |text: &str| text.as_bytes().to_vec();
    let upgrade = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    let token = format!("authorization: Bearer {}\r\n", world.victim.token);
    let cases: [(&str, Vec<u8>, &[u16]); 15] = [
        ("a folded header", products("x-a: b\r\n c\r\n"), &[400]),
        ("a header that begins with a space", products(" x-a: b\r\n"), &[400]),
        ("a header without a colon", products("x-a\r\n"), &[400]),
        ("a header without a name", products(": b\r\n"), &[400]),
        ("a name with a character of another kind", products("x(a): b\r\n"), &[400]),
        ("NUL in a value", products("x-a: b\0c\r\n"), &[400]),
        ("a carriage return in a value", products("x-a: b\rc\r\n"), &[400]),
        ("a control character in a value", products("x-a: b\u{1}c\r\n"), &[400]),
        ("lines without carriage returns", lines("GET /api/v1/products HTTP/1.1\nhost: shop.example\n\n"), &[200]),
        ("two hosts", products("host: evil.example\r\n"), &[400]),
        ("no host", lines("GET /api/v1/products HTTP/1.1\r\n\r\n"), &[400]),
        ("an upgrade to HTTP/2", products(upgrade), &[200]),
        ("a token of one hop", get("/api/v1/orders", &format!("{token}connection: authorization\r\n")), &[401]),
        ("a head without an end", products(&format!("x-a: {}\r\n", "a".repeat(64 << 10))), &[431]),
        ("another version", lines("GET /api/v1/products HTTP/3.0\r\nhost: shop.example\r\n\r\n"), &[400]),
    ];
    cases.map(|(attack, bytes, expected)| Row { attack, bytes, expected }).into()
}

fn targets(world: &World) -> Vec<Row> {
    let token = format!("authorization: Bearer {}\r\n", world.attacker);
    let as_attacker = |target: &str| get(target, &token);
    let cases: [(&str, Vec<u8>, &[u16]); 11] = [
        ("the address of another host", get("http://evil.example/api/v1/products", ""), &[200]),
        ("an address in the network", get("http://169.254.169.254/latest/meta-data/", ""), &[404]),
        ("an address of a service", get("http://127.0.0.1:9090/metrics", ""), &[404]),
        ("dot segments", as_attacker("/api/v1/products/../admin/users"), &[404]),
        ("encoded dot segments", as_attacker("/api/v1/products/%2e%2e/admin"), &[404]),
        ("dot segments after an encoded separator", as_attacker("/api/v1/products/..%2fadmin%2fusers"), &[404]),
        ("a backslash", as_attacker("/api/v1/products/..%5cadmin"), &[404]),
        ("lines in a target", get("/api/v1/products/a%0d%0aset-cookie:%20b", ""), &[404]),
        ("NUL in a target", get("/api/v1/products/a%00b", ""), &[404]),
        ("a space in a target", get("/api/v1/products?q=a b", ""), &[400]),
        ("no target", get("", ""), &[400]),
    ];
    cases.map(|(attack, bytes, expected)| Row { attack, bytes, expected }).into()
}
