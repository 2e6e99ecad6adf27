//! Requests to addresses that others name, over real connections on this machine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use agora_chassis::{Process, chain};
use agora_outbound::foreign::{
    AddressPolicy, AllowedPorts, ForeignAnswer, ForeignClient, ForeignError, ForeignLimits, ForeignUrl, Resolver,
    Resolving, SystemResolver,
};
use bytes::Bytes;
use http::HeaderMap;
use rustls::RootCertStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const LIMITS: ForeignLimits =
    ForeignLimits { connect: Duration::from_millis(500), total: Duration::from_millis(800), answer_bytes_max: 8 << 10 };
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A receiver that answers each connection with this text after a pause, and how many connections it had.
async fn receiver(pause: Duration, answer: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = connections.clone();
    Process::for_test("receiver").spawn("receiver", async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = tcp.read(&mut [0; 4096]).await;
            tokio::time::sleep(pause).await;
            let _ = tcp.write_all(answer.as_bytes()).await;
        }
        Ok(())
    });
    (port, connections)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers every name with these addresses, and counts the look-ups.
#[derive(Debug)]
struct Names(Vec<IpAddr>, AtomicUsize);

impl Names {
    fn of(addresses: &[IpAddr]) -> Arc<Self> {
        Arc::new(Self(addresses.to_vec(), AtomicUsize::new(0)))
    }
}

impl Resolver for Names {
    fn resolve(&self, _: String) -> Resolving {
        self.1.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

fn client(policy: AddressPolicy, resolver: Arc<dyn Resolver>) -> ForeignClient {
    ForeignClient::new(policy, LIMITS, resolver, Some(RootCertStore::empty())).unwrap()
}

async fn post(client: &ForeignClient, url: &str) -> Result<ForeignAnswer, ForeignError> {
    // Parsed by a policy that lets everything pass: the check of the connection must suffice.
    let url = ForeignUrl::parse(url, &AddressPolicy::development()).unwrap();
    client.post(&url, HeaderMap::new(), Bytes::from_static(b"{}")).await
}

/// No private address, but any port and no TLS, so that a receiver on this machine would be reached.
fn strict() -> AddressPolicy {
    AddressPolicy { plain_http: true, private_addresses: false, ports: AllowedPorts::Any }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_gets_no_connection() {
    let (port, connections) = receiver(Duration::ZERO, ok("")).await;
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    for addresses in [&[HERE][..], &[mapped], &[HERE, "10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()], &[]] {
        let client = client(strict(), Names::of(addresses));
        let error = post(&client, &format!("http://rebinding.example:{port}/")).await.unwrap_err();
        assert!(matches!(error, ForeignError::Connect(_)), "{error:?}");
        assert!(chain(&error).contains("no public address"), "{}", chain(&error));
    }
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let error = post(&client(strict(), Names::of(&[])), &format!("http://{host}:{port}/")).await.unwrap_err();
        assert!(chain(&error).contains("no public address"), "{host}: {}", chain(&error));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

/// A name must not be checked once and then lead elsewhere.
#[tokio::test]
async fn each_request_looks_the_name_up_and_opens_a_connection_of_its_own() {
    let (port, connections) = receiver(Duration::ZERO, ok("{}")).await;
    let names = Names::of(&[HERE]);
    let client = client(AddressPolicy::development(), names.clone());
    for n in 1..=3 {
        let answer = post(&client, &format!("http://shop.example:{port}/hook?a=b")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!((names.1.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (n, n));
    }
}

#[tokio::test]
async fn a_port_that_is_not_allowed_gets_no_connection() {
    let (port, connections) = receiver(Duration::ZERO, ok("")).await;
    let policy = AddressPolicy { ports: AllowedPorts::default(), ..AddressPolicy::development() };
    let error = post(&client(policy, Names::of(&[HERE])), &format!("http://shop.example:{port}/")).await.unwrap_err();
    assert!(chain(&error).contains("is not allowed"), "{}", chain(&error));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (secret_port, secret) = receiver(Duration::ZERO, ok("secret")).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{secret_port}/\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, _) = receiver(Duration::ZERO, redirect).await;
    let client = client(AddressPolicy::development(), Names::of(&[HERE]));
    let answer = post(&client, &format!("http://shop.example:{port}/")).await.unwrap();
    assert_eq!((answer.status.as_u16(), secret.load(Ordering::SeqCst)), (307, 0));
}

#[tokio::test]
async fn of_a_large_or_unfinished_answer_the_beginning_is_read() {
    let client = client(AddressPolicy::development(), Arc::new(SystemResolver::default()));
    let (port, _) = receiver(Duration::ZERO, ok(&"x".repeat(1 << 20))).await;
    let answer = post(&client, &format!("http://localhost:{port}/")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, LIMITS.answer_bytes_max));
    let (port, _) = receiver(Duration::ZERO, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_owned()).await;
    let answer = post(&client, &format!("http://127.0.0.1:{port}/")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"abc"[..]));
}

#[tokio::test]
async fn silence_ends_with_the_time_limit_and_a_broken_connection_is_distinguished_from_none() {
    let client = client(AddressPolicy::development(), Names::of(&[HERE]));
    let (port, _) = receiver(Duration::from_secs(30), ok("")).await;
    let error = post(&client, &format!("http://shop.example:{port}/")).await.unwrap_err();
    assert!(matches!(error, ForeignError::Timeout(limit) if limit == LIMITS.total), "{error:?}");
    let (port, _) = receiver(Duration::ZERO, String::new()).await;
    let error = post(&client, &format!("http://shop.example:{port}/")).await.unwrap_err();
    assert!(matches!(error, ForeignError::Broken(_)), "{error:?}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = post(&client, &format!("http://shop.example:{free}/")).await.unwrap_err();
    assert!(matches!(error, ForeignError::Connect(_)), "{error:?}");
}

/// A receiver without TLS where HTTPS is expected: the request must not be sent in the clear.
#[tokio::test]
async fn without_a_trusted_certificate_nothing_is_sent() {
    let (port, _) = receiver(Duration::ZERO, ok("")).await;
    let client = client(AddressPolicy::development(), Names::of(&[HERE]));
    let error = post(&client, &format!("https://shop.example:{port}/")).await.unwrap_err();
    assert!(matches!(error, ForeignError::Connect(_)), "{error:?}");
}
