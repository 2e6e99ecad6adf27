//! What a burst of requests costs the process of the gateway: threads while it lasts, and memory after it.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use agora_testkit::{TestKeys, free_port};
use axum::{Router, extract::State};
use futures::future::join_all;
use tempfile::NamedTempFile;
use tokio::{net::TcpListener, sync::RwLock};

/// Timeout of every wait in this test.
const PATIENCE: Duration = Duration::from_mins(1);
/// Requests before the burst, so that what is allocated once does not count as the burst's.
const FIRST_REQUESTS: usize = 64;
/// Requests at once. Each takes a socket here and one in the gateway, which has some 192 more to the service: less than the
/// usual limit of 1,024 open files.
const BURST: usize = 700;
/// Of a cart: such a request waits for those before it for three seconds, one for browsing for as long as they are held here.
const PATH: &str = "/api/v1/guest-carts/current";
/// How many of them the service has when the measurement begins, and how long it then holds them.
const ARRIVED: usize = 100;
const HELD_FOR: Duration = Duration::from_secs(1);
/// Least memory of the burst, without which its return would prove nothing. In the release profile it takes 22 MiB.
const BURST_KIB_MIN: u64 = 8 << 10;
/// Threads of the process beside one for each core: those for work that blocks, as in `agora_chassis`, the first one, those of
/// libraries, such as the allocator's, and those of the client of Kafka, which are there before the burst.
const THREADS_BESIDE_CORES_MAX: usize = 16 + 1 + 5 + 4;

/// A service that holds requests while `gate` is locked for writing.
#[derive(Clone)]
struct Service {
    port: u16,
    arrived: Arc<AtomicUsize>,
    gate: Arc<RwLock<()>>,
}

impl Service {
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = Self { port, arrived: Arc::default(), gate: Arc::default() };
        let router = Router::new().fallback(answer).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }
}

async fn answer(State(service): State<Service>) -> &'static str {
    service.arrived.fetch_add(1, Ordering::SeqCst);
    drop(service.gate.read().await);
    "{}"
}

/// A process that is killed when it is dropped.
struct Gateway {
    process: Child,
    address: String,
    _jwks: NamedTempFile,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Gateway {
    /// Knows the service by a name, as in a cluster, so that connections need look-ups.
    async fn start(service: &Service) -> Self {
        let (port, admin_port, jwks) = (free_port(), free_port(), TestKeys::new().jwks_file());
        let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
        command.args(["serve", "gateway"]).stdout(Stdio::null());
        command.env("PORT", port.to_string()).env("ADMIN_PORT", admin_port.to_string());
        command.env("JWKS_FILE", jwks.path()).env("REDIS_URL", "redis://127.0.0.1:1");
        command.env("KAFKA_BROKERS", "127.0.0.1:1").env("RUST_LOG", "error");
        for known in agora_topology::ALL.iter().filter(|known| known.behind_gateway) {
            let name = format!("{}_URL", known.name.to_uppercase());
            command.env(name, format!("http://localhost:{}", service.port));
        }
        let process = command.spawn().unwrap();
        let (http, ready) = (client(), format!("http://127.0.0.1:{admin_port}/readyz"));
        let is_ready = async || http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200);
        until("the gateway is ready", is_ready).await;
        Self { process, address: format!("http://127.0.0.1:{port}{PATH}"), _jwks: jwks }
    }

    /// Sends so many requests at once, each on a connection of its own; returns how many succeed.
    async fn ask(&self, requests: usize) -> usize {
        let http = client();
        let one = async || http.get(&self.address).send().await.is_ok_and(|answer| answer.status() == 200);
        join_all((0..requests).map(|_| one())).await.into_iter().filter(|succeeded| *succeeded).count()
    }

    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().count()
    }

    /// Resident memory that no file backs.
    fn memory_kib(&self) -> u64 {
        let sums = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id())).unwrap();
        let line = sums.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The most threads and memory while the service holds the burst.
    async fn most_while_held(&self) -> (usize, u64) {
        let (began, mut threads, mut memory_kib) = (Instant::now(), 0, 0);
        while began.elapsed() < HELD_FOR {
            (threads, memory_kib) = (threads.max(self.threads()), memory_kib.max(self.memory_kib()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (threads, memory_kib)
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).no_proxy().build().unwrap()
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_burst_takes_few_threads_and_its_memory_goes_back() {
    let service = Service::start().await;
    let gateway = Gateway::start(&service).await;
    assert_eq!(gateway.ask(FIRST_REQUESTS).await, FIRST_REQUESTS);
    let before_kib = gateway.memory_kib();

    let held = service.gate.write().await;
    let watch = async {
        until("the burst arrives", async || service.arrived() >= FIRST_REQUESTS + ARRIVED).await;
        let most = gateway.most_while_held().await;
        drop(held);
        most
    };
    let (succeeded, (threads, most_kib)) = tokio::join!(gateway.ask(BURST), watch);
    assert!(succeeded > BURST / 2, "{succeeded} requests succeeded");
    let threads_max = std::thread::available_parallelism().unwrap().get() + THREADS_BESIDE_CORES_MAX;
    assert!(threads <= threads_max, "{threads} threads");
    let burst_kib = most_kib.saturating_sub(before_kib);
    assert!(burst_kib >= BURST_KIB_MIN, "the burst takes {burst_kib} KiB");
    // In the release profile a third of it stays with jemalloc, and nearly all of it with glibc (docs/PERFORMANCE.md).
    let is_back = async || gateway.memory_kib() <= before_kib + burst_kib / 2;
    until("half of the memory of the burst goes back", is_back).await;
}
