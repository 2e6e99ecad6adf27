//! Answers in place of a service that does not answer, where an old or an empty one is better than none: a product as it
//! was a moment ago, no recommendations. An order has the price and the stock of its own time, which catalog decides.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agora_api::{List, recommendation::Recommendation};
use agora_web::{Json, Problem};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// The header that names the service in whose place the gateway answered.
pub const DEGRADED: HeaderName = HeaderName::from_static("x-degraded");

/// Largest answer that is kept, in bytes.
const BYTES_MAX: usize = 16 << 10;
/// Most answers that are kept: 16 MiB if each is as large as it may be.
const ANSWERS_MAX: usize = 1024;
/// Age from which a kept answer is replaced by a newer one. Until then, reads of the product cost nothing more.
const RENEWED_AFTER: Duration = Duration::from_secs(5);
/// Greatest age of an answer that is served in place of the catalog's.
const STALE_MAX: Duration = Duration::from_mins(10);

/// Headers of requests that change what a product's answer says.
const VARYING: [HeaderName; 2] = [header::ACCEPT_LANGUAGE, HeaderName::from_static("x-currency")];
/// Headers of an answer that are kept with it.
const KEPT: [HeaderName; 4] = [header::CONTENT_TYPE, header::ETAG, header::CONTENT_LANGUAGE, header::VARY];

/// Answers of the catalog to reads of products, without those to users. Bounded; clones share them.
#[derive(Clone, Debug, Default)]
pub struct RecentProducts(Arc<Mutex<Generations>>);

/// An answer that is not used while the young generation fills up is dropped with the old one.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, Arc<Kept>>,
    old: HashMap<String, Arc<Kept>>,
}

#[derive(Debug)]
struct Kept {
    headers: HeaderMap,
    body: Bytes,
    at: Instant,
}

/// What a read of a product is kept under; `None` if its answer has no body.
pub fn key(request: &Request) -> Option<String> {
    if request.method() != Method::GET {
        return None;
    }
    let mut key = request.uri().path_and_query()?.as_str().to_owned();
    for name in VARYING {
        key.push('\n');
        key.push_str(request.headers().get(&name).and_then(|value| value.to_str().ok()).unwrap_or_default());
    }
    Some(key)
}

/// Whether the status says that the service cannot answer at the moment.
pub fn is_away(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// An empty list of recommendations.
pub fn no_recommendations() -> Response {
    let list = List::<Recommendation> { items: Vec::new(), total: None, next_cursor: None };
    metrics::counter!("gateway_fallback_total", "upstream" => "recommendation").increment(1);
    ([(DEGRADED, HeaderValue::from_static("recommendation"))], Json(list)).into_response()
}

impl RecentProducts {
    /// The same answer, kept if it is a product's, small, and for everybody. A product that is gone is not kept any longer.
    pub async fn keep(&self, key: &str, answer: Response) -> Response {
        if answer.status() == StatusCode::NOT_FOUND {
            self.remove(key);
        }
        let may_be_kept =
            answer.status() == StatusCode::OK && is_small(answer.headers()) && is_public(answer.headers());
        if !may_be_kept || !self.is_due(key) {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        match to_bytes(body, BYTES_MAX).await {
            Ok(body) => {
                let headers = KEPT.into_iter().filter_map(|name| {
                    let value = parts.headers.get(&name)?.clone();
                    Some((name, value))
                });
                self.store(key, Kept { headers: headers.collect(), body: body.clone(), at: Instant::now() });
                Response::from_parts(parts, Body::from(body))
            }
            Err(error) => self.find(key).unwrap_or_else(|| Problem::unavailable(error).into_response()),
        }
    }

    /// The kept answer, marked as an old one.
    pub fn find(&self, key: &str) -> Option<Response> {
        self.find_at(key, Instant::now())
    }

    fn find_at(&self, key: &str, now: Instant) -> Option<Response> {
        let kept = self.kept(key)?;
        let age = now.saturating_duration_since(kept.at);
        if age > STALE_MAX {
            return None;
        }
        metrics::counter!("gateway_fallback_total", "upstream" => "catalog").increment(1);
        let mut response = Response::new(Body::from(kept.body.clone()));
        *response.headers_mut() = kept.headers.clone();
        response.headers_mut().insert(header::AGE, HeaderValue::from(age.as_secs()));
        response.headers_mut().insert(header::WARNING, HeaderValue::from_static("110 - \"Response is Stale\""));
        response.headers_mut().insert(DEGRADED, HeaderValue::from_static("catalog"));
        Some(response)
    }

    fn is_due(&self, key: &str) -> bool {
        self.kept(key).is_none_or(|kept| kept.at.elapsed() >= RENEWED_AFTER)
    }

    fn kept(&self, key: &str) -> Option<Arc<Kept>> {
        let mut generations = self.generations();
        if let Some(kept) = generations.young.get(key) {
            return Some(kept.clone());
        }
        let kept = generations.old.remove(key)?;
        generations.put(key, kept.clone());
        Some(kept)
    }

    fn store(&self, key: &str, kept: Kept) {
        let mut generations = self.generations();
        generations.old.remove(key);
        generations.put(key, Arc::new(kept));
    }

    fn remove(&self, key: &str) {
        let mut generations = self.generations();
        generations.young.remove(key);
        generations.old.remove(key);
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn put(&mut self, key: &str, kept: Arc<Kept>) {
        if self.young.len() >= ANSWERS_MAX / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key.to_owned(), kept);
    }
}

fn is_small(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length <= BYTES_MAX)
}

/// Answers to users are not: they say so.
fn is_public(headers: &HeaderMap) -> bool {
    let control = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !control.contains("no-store") && !control.contains("private")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{ANSWERS_MAX, BYTES_MAX, Body, RecentProducts, Response, STALE_MAX, header};

    fn answer(length: usize) -> Response {
        Response::builder().header(header::CONTENT_LENGTH, length).body(Body::from(vec![b' '; length])).unwrap()
    }

    #[tokio::test]
    async fn rs5_the_number_and_the_size_of_kept_products_are_bounded() {
        let recent = RecentProducts::default();
        for number in 0..3 * ANSWERS_MAX {
            recent.keep(&number.to_string(), answer(10)).await;
        }
        let kept = (0..3 * ANSWERS_MAX).filter(|number| recent.find(&number.to_string()).is_some()).count();
        assert!((1..=ANSWERS_MAX).contains(&kept), "{kept}");
        recent.keep("large", answer(BYTES_MAX + 1)).await;
        assert!(recent.find("large").is_none());
    }

    #[tokio::test]
    async fn rs5_an_old_product_is_marked_and_a_very_old_or_deleted_one_is_not_served() {
        let recent = RecentProducts::default();
        recent.keep("a", answer(10)).await;
        let now = Instant::now();
        let old = recent.find_at("a", now + STALE_MAX / 2).unwrap();
        assert_eq!(old.headers()["age"], "300");
        assert_eq!(old.headers()["x-degraded"], "catalog");
        assert!(recent.find_at("a", now + STALE_MAX).is_none());

        recent.keep("b", answer(10)).await;
        recent.keep("b", Response::builder().status(404).body(Body::empty()).unwrap()).await;
        assert!(recent.find("b").is_none());
    }
}
