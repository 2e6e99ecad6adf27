//! Calls against a real server on 127.0.0.1: what is sent, what is repeated, when it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use agora_chassis::{
    Process, Routers, WatchedSecret,
    deadline::Deadline,
    trace::{Parent, for_request},
};
use agora_keyring::KeySet;
use agora_outbound::{CallError, Client, Failure, InternalSigner};
use agora_vocab::{Secret, UserId};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use uuid::Uuid;

/// What the server got of one request.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    headers: axum::http::HeaderMap,
    body: Value,
}

type Answers = dyn Fn(usize) -> Option<Response> + Send + Sync;

#[derive(Clone)]
struct Behaviour {
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Answers>,
}

/// A server that answers the n-th request (from 0) as configured, and never for `None`.
struct Callee {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    process: Process,
}

impl Callee {
    async fn answering(answers: impl Fn(usize) -> Option<Response> + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers: Arc<Answers> = Arc::new(answers);
        let router = Router::new().fallback(record).with_state(Behaviour { seen: seen.clone(), answers });
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let process = Process::for_test("order");
        process.spawn("callee", async move { Ok(axum::serve(tcp, router).await?) });
        Self { address, seen, process }
    }

    fn client(&self) -> Client {
        client_of(&format!("http://{}/", self.address), &self.process)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn client_of(base_url: &str, process: &Process) -> Client {
    Client::new("catalog", base_url, InternalSigner::new(WatchedSecret::fixed("zebra-1,zebra-2"), "order"), process)
}

async fn record(State(Behaviour { seen, answers }): State<Behaviour>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap_or_default();
    let count = {
        let mut seen = seen.lock().unwrap();
        let path = parts.uri.to_string();
        seen.push(Seen { method: parts.method.to_string(), path, headers: parts.headers, body });
        seen.len() - 1
    };
    match answers(count) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "some callees do not answer")]
fn json_of(status: u16, body: &Value) -> Option<Response> {
    Some((StatusCode::from_u16(status).unwrap(), body.to_string()).into_response())
}

fn failure(error: CallError) -> Failure {
    match error {
        CallError::Unavailable(source) => *source.downcast().unwrap(),
        refused @ CallError::Refused { .. } => panic!("{refused}"),
    }
}

#[tokio::test]
async fn a_service_of_the_same_process_is_called_without_a_socket_and_as_over_http() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let answers: Arc<Answers> = Arc::new(|n| match n {
        0 => json_of(503, &json!({})),
        1 => json_of(200, &json!({"held": 3})),
        2 => json_of(409, &json!({"status": 409, "code": "CANCELLED", "title": "Conflict", "type": "x", "error": "x"})),
        _ => None,
    });
    let internal = Router::new().fallback(record).with_state(Behaviour { seen: seen.clone(), answers });
    let process = Process::for_test("order");
    // No server has this address.
    let client = client_of("http://catalog.invalid:4002", &process);
    process.provide("catalog", Routers { internal, public: Router::new() });

    let (id, body) = (Uuid::from_u128(5), json!({"n": 1}));
    let answer: Value = client.command("/internal/v1/reserve", id, &body).await.unwrap();
    assert_eq!(answer, json!({"held": 3}), "after one retry");
    let refused = client.command::<_, Value>("/internal/v1/commit", id, &body).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { status: 409, .. }), "{refused}");
    let hung = failure(client.command::<_, Value>("/internal/v1/release", id, &body).await.unwrap_err());
    assert!(matches!(hung, Failure::Transport { .. }), "{hung}");

    let seen = seen.lock().unwrap();
    let paths: Vec<_> = seen.iter().map(|request: &Seen| request.path.as_str()).collect();
    assert_eq!(paths[..3], ["/internal/v1/reserve", "/internal/v1/reserve", "/internal/v1/commit"]);
    assert!(seen.iter().all(|request| request.headers.contains_key("x-internal-token") && request.body == body));
}

#[tokio::test]
async fn gw9_a_command_carries_its_id_a_token_with_the_user_the_request_and_the_body() {
    let callee = Callee::answering(|_| json_of(200, &json!({"held": 3}))).await;
    let (id, user) = (Uuid::from_u128(5), UserId::new(Uuid::from_u128(7)));
    let (client, body) = (callee.client().for_user(user), json!({"n": 1}));
    let call = client.command::<_, Value>("/internal/v1/reserve", id, &body);
    let answer = for_request("r-1".to_owned(), Parent::default(), tracing::Span::none(), call).await.unwrap();
    assert_eq!(answer, json!({"held": 3}));

    let seen = &callee.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/internal/v1/reserve"));
    assert_eq!(seen.body, json!({"n": 1}));
    assert_eq!(seen.headers["x-command-id"], id.to_string());
    assert_eq!(seen.headers["x-request-id"], "r-1");
    assert_eq!(seen.headers["content-type"], "application/json");

    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["catalog"]);
    validation.set_issuer(&["order"]);
    let token = seen.headers["x-internal-token"].to_str().unwrap();
    let keys = KeySet::parse(&Secret::new("zebra-1")).of_calls("order", "catalog");
    let key = DecodingKey::from_secret(keys[0].expose().as_bytes());
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], json!(user));
    let life = claims["exp"].as_i64().unwrap() - callee.process.clock().now().unix_timestamp();
    assert!((58..=60).contains(&life), "{life}");
}

#[tokio::test]
async fn a_read_has_no_command_id_and_an_empty_success_is_nothing() {
    let callee = Callee::answering(|_| Some(StatusCode::NO_CONTENT.into_response())).await;
    callee.client().get::<()>("/internal/v1/order").await.unwrap();
    assert!(!callee.seen()[0].headers.contains_key("x-command-id"));
    assert_eq!(callee.seen()[0].method, "GET");
}

#[tokio::test]
async fn rs4_what_fails_for_a_moment_is_repeated_under_the_same_command_id() {
    for first in [500, 502, 503, 429] {
        let callee = Callee::answering(move |n| json_of(if n < 2 { first } else { 200 }, &json!(n))).await;
        let answer = callee.client().command::<_, u32>("/do", Uuid::from_u128(5), &()).await;
        assert_eq!(answer.unwrap(), 2, "{first}");
        let ids: Vec<_> = callee.seen().iter().map(|seen| seen.headers["x-command-id"].clone()).collect();
        assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{first}: {ids:?}");
    }
}

#[tokio::test]
async fn rs4_there_are_three_tries_and_no_more() {
    let callee = Callee::answering(|_| json_of(503, &json!({}))).await;
    let error = callee.client().get::<Value>("/").await.unwrap_err();
    assert!(matches!(failure(error), Failure::Status { status: 503, .. }));
    assert_eq!(callee.seen().len(), 3);
}

#[tokio::test]
async fn a_callee_that_does_not_accept_the_token_has_decided_nothing() {
    for status in [401, 403, 405, 408, 421] {
        let callee = Callee::answering(move |n| json_of(if n == 0 { status } else { 200 }, &json!(n))).await;
        assert_eq!(callee.client().get::<u32>("/").await.unwrap(), 1, "{status}: the next try succeeds");
        let callee = Callee::answering(move |_| json_of(status, &json!({}))).await;
        let error = failure(callee.client().get::<Value>("/").await.unwrap_err());
        assert!(matches!(error, Failure::Status { status: seen, .. } if seen == status), "{error}");
    }
}

#[tokio::test]
async fn what_the_callee_decided_is_not_repeated_and_keeps_its_problem() {
    let problem =
        json!({"type": "t", "title": "Too few", "status": 409, "code": "INSUFFICIENT_QUANTITY", "available": 3});
    let callee = Callee::answering(move |_| json_of(409, &problem)).await;
    let error = callee.client().get::<Value>("/").await.unwrap_err();
    assert_eq!(error.code(), Some("INSUFFICIENT_QUANTITY"));
    let CallError::Refused { status, problem, .. } = error else { panic!("{error}") };
    assert_eq!((status, &problem.extra["available"]), (409, &json!(3)));
    assert_eq!(callee.seen().len(), 1);

    for status in [400, 404, 409, 412, 422] {
        let bare = Callee::answering(move |_| json_of(status, &json!("no problem"))).await;
        let error = bare.client().get::<Value>("/").await.unwrap_err();
        assert!(
            matches!(&error, CallError::Refused { status: s, problem, .. } if *s == status && problem.status == status)
        );
        assert_eq!(bare.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_conflict_that_says_when_to_come_back_is_the_callers_decision() {
    let callee = Callee::answering(|_| {
        Some((StatusCode::CONFLICT, [("retry-after", "1")], json!({"title": "t"}).to_string()).into_response())
    })
    .await;
    let error = callee.client().get::<Value>("/").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(callee.seen().len(), 1);
}

#[tokio::test]
async fn retry_after_is_waited_for_within_the_deadline_and_not_beyond() {
    let after = |seconds: &'static str| {
        move |n| match n {
            0 => Some((StatusCode::SERVICE_UNAVAILABLE, [("retry-after", seconds)]).into_response()),
            _ => json_of(200, &json!(1)),
        }
    };
    let callee = Callee::answering(after("1")).await;
    let started = Instant::now();
    callee.client().get::<u32>("/").await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    let callee = Callee::answering(after("60")).await;
    let started = Instant::now();
    callee.client().get::<u32>("/").await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1) && callee.seen().len() == 1);
}

#[tokio::test]
async fn rs4_a_call_without_a_response_ends_at_its_deadline() {
    let callee = Callee::answering(|_| None).await;
    let started = Instant::now();
    let error = callee.client().get::<Value>("/").await.unwrap_err();
    assert!(matches!(failure(error), Failure::Transport { .. }));
    let took = started.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test]
async fn rs5_a_callee_that_is_away_opens_the_breaker_and_its_return_closes_it() {
    let callee = Callee::answering(|n| json_of(if n < 5 { 500 } else { 200 }, &json!(n))).await;
    let (client, process) = (callee.client(), &callee.process);
    client.get::<Value>("/").await.unwrap_err();
    let error = client.get::<Value>("/").await.unwrap_err();
    assert!(matches!(failure(error), Failure::Open { .. }), "the fifth failure in a row opened it");
    assert_eq!(callee.seen().len(), 5);
    assert_eq!(process.readiness().degraded[0].name, "catalog");

    let started = Instant::now();
    assert!(matches!(failure(client.get::<Value>("/").await.unwrap_err()), Failure::Open { .. }));
    assert!(started.elapsed() < Duration::from_millis(500), "an open breaker answers at once");
    tokio::time::sleep(Duration::from_secs(2)).await;
    client.get::<Value>("/").await.unwrap();
    client.clone().get::<Value>("/").await.unwrap();
    assert!(process.readiness().degraded.is_empty());
}

#[tokio::test]
async fn rs5_refusals_do_not_open_the_breaker() {
    let callee = Callee::answering(|_| json_of(404, &json!({}))).await;
    let client = callee.client();
    for _ in 0..8 {
        assert!(matches!(client.get::<Value>("/").await, Err(CallError::Refused { .. })));
    }
    assert_eq!(callee.seen().len(), 8);
}

#[tokio::test]
async fn no_listener_and_no_address_are_unavailable() {
    let process = Process::for_test("order");
    let gone = {
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        tcp.local_addr().unwrap()
    };
    let error = client_of(&format!("http://{gone}"), &process).get::<Value>("/").await.unwrap_err();
    assert!(matches!(failure(error), Failure::Transport { .. }));
    let error = client_of("no address", &process).get::<Value>("/").await.unwrap_err();
    assert!(matches!(failure(error), Failure::Request { .. }));
}

#[tokio::test]
async fn answers_that_are_wrong_huge_or_elsewhere_are_unavailable() {
    let wrong = Callee::answering(|_| json_of(200, &json!({"held": "three"}))).await;
    assert!(matches!(
        failure(wrong.client().get::<u32>("/").await.unwrap_err()),
        Failure::Body { source: Some(_), .. }
    ));
    let huge = Callee::answering(|_| Some(Response::new(Body::from(vec![b' '; 9 << 20])))).await;
    assert!(matches!(failure(huge.client().get::<u32>("/").await.unwrap_err()), Failure::Body { source: None, .. }));
    let elsewhere =
        Callee::answering(|_| Some((StatusCode::FOUND, [("location", "http://evil.example/")]).into_response())).await;
    let error = failure(elsewhere.client().get::<u32>("/").await.unwrap_err());
    assert!(matches!(error, Failure::Status { status: 302, .. }), "{error}");
}

#[tokio::test]
async fn neither_errors_nor_debug_output_show_the_token_or_the_secret() {
    let process = Process::for_test("order");
    let client = client_of("http://127.0.0.1:1", &process);
    let error = client.get::<Value>("/internal/v1/who?email=ada@example.com").await.unwrap_err();
    let shown = format!("{client:?} {error:?}");
    assert!(!shown.contains("zebra") && !shown.contains("ada@example.com"), "{shown}");
}

#[tokio::test]
async fn rs4_the_time_of_the_caller_limits_the_call_and_goes_on_with_it() {
    let wait = |seen: &Seen| seen.headers["x-request-timeout-ms"].to_str().unwrap().parse::<u64>().unwrap();
    let callee = Callee::answering(|n| if n == 0 { json_of(200, &json!(1)) } else { None }).await;
    let client = callee.client();
    client.get::<u32>("/").await.unwrap();
    assert!((1_900..=2_000).contains(&wait(&callee.seen()[0])), "{:?}", callee.seen()[0].headers);

    let started = Instant::now();
    let limit = Deadline::after(Duration::from_millis(400), false);
    let error = failure(limit.within(client.get::<u32>("/")).await.unwrap_err());
    assert!(matches!(error, Failure::Transport { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    let waits: Vec<_> = callee.seen()[1..].iter().map(wait).collect();
    assert!(!waits.is_empty() && waits.iter().all(|wait| *wait <= 400), "{waits:?}");

    let seen = callee.seen().len();
    let late = Deadline::after(Duration::ZERO, false).within(client.get::<u32>("/")).await.unwrap_err();
    assert!(matches!(failure(late), Failure::Late { .. }));
    assert_eq!(callee.seen().len(), seen, "nothing was sent");
}

#[tokio::test]
async fn rs4_a_call_for_a_caller_that_repeats_it_is_made_once() {
    let callee = Callee::answering(|_| json_of(503, &json!({}))).await;
    let limit = Deadline::after(Duration::from_secs(5), true);
    limit.within(callee.client().get::<Value>("/")).await.unwrap_err();
    assert_eq!(callee.seen().len(), 1);
}

#[tokio::test]
async fn rs4_a_callee_that_refuses_everything_gets_a_tenth_more_requests_and_not_three_times_as_many() {
    const CALLS: usize = 100;
    // Without the breaker, which would stop the calls before: a refused token is not the callee's fault.
    let callee = Callee::answering(|_| json_of(401, &json!({}))).await;
    let client = callee.client();
    for _ in 0..CALLS {
        client.get::<Value>("/").await.unwrap_err();
    }
    let seen = callee.seen().len();
    assert!((CALLS + 20..=CALLS + 20 + CALLS / 10).contains(&seen), "{seen}");
}

#[tokio::test]
async fn rs5_faults_of_the_caller_do_not_open_the_breaker() {
    // Seven calls of three tries each.
    const REFUSED: usize = 21;
    for status in [302, 401, 403, 405, 415, 421] {
        let callee = Callee::answering(move |n| json_of(if n < REFUSED { status } else { 200 }, &json!(n))).await;
        let client = callee.client();
        let mut last = None;
        while callee.seen().len() < REFUSED {
            last = Some(failure(client.get::<Value>("/").await.unwrap_err()));
        }
        assert!(matches!(last, Some(Failure::Status { .. })), "{status}: {last:?}");
        client.get::<u32>("/").await.unwrap();
        assert!(callee.process.readiness().degraded.is_empty(), "{status}");
    }
    // A caller that has no time for an answer, and a request that cannot be built.
    let awake = Arc::new(AtomicBool::new(false));
    let answers = awake.clone();
    let callee =
        Callee::answering(move |n| answers.load(Ordering::SeqCst).then(|| json_of(200, &json!(n))).flatten()).await;
    let client = callee.client();
    for _ in 0..10 {
        let limit = Deadline::after(Duration::from_millis(20), true);
        limit.within(client.get::<Value>("/")).await.unwrap_err();
        client.get::<Value>("no path").await.unwrap_err();
    }
    awake.store(true, Ordering::SeqCst);
    client.get::<u32>("/").await.unwrap();
}
