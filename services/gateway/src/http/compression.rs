//! Content coding of answers that hold no secret.
//!
//! Compression tells the length of a text, and with it whether two parts of the text are alike: beside a part that an
//! attacker chooses, such as a search text, a secret can be guessed letter by letter (BREACH). So an answer is encoded only if
//! its service says that any cache may store it, to a request without a token. An answer is encoded whole: a coding that waits
//! for a slow client would hold its tables for that time.

use std::io::{self, Write as _};

use agora_web::Problem;
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// Smallest body that is encoded, in bytes: a smaller one fits into a packet anyway.
const BYTES_MIN: usize = 1 << 10;
/// Largest body that is encoded, in bytes: each is held in memory, and its encoding takes some milliseconds.
const BYTES_MAX: usize = 256 << 10;

/// Media types that are encoded; others are compressed already, or are not lists of products.
const MEDIA_TYPES: [&str; 2] = ["application/json", "image/svg+xml"];

/// 3 is the default of zstd; both are about as fast as the network.
const ZSTD_LEVEL: i32 = 3;

/// Most members of `Accept-Encoding` that are read.
const CODINGS_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

/// What a client accepts of the answer to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptable {
    coding: Option<Coding>,
    /// Whether an answer to the request may depend on the coding.
    is_public_read: bool,
}

impl Acceptable {
    pub fn of(request: &Request) -> Self {
        let headers = request.headers();
        let is_public_read = request.method() == Method::GET && !headers.contains_key(header::AUTHORIZATION);
        Self { coding: preferred(headers).filter(|_| is_public_read), is_public_read }
    }

    /// The answer, encoded if it may be and if that makes it smaller.
    pub async fn encode(self, mut answer: Response) -> Response {
        if !self.is_public_read || !is_public(answer.headers()) {
            return answer;
        }
        // Of an answer that is not encoded too: a cache must not give it to, or keep it from, clients that accept others.
        answer.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
        match self.coding.filter(|_| may_be_encoded(&answer)) {
            Some(coding) => encoded(coding, answer).await,
            None => answer,
        }
    }
}

async fn encoded(coding: Coding, answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = match to_bytes(body, BYTES_MAX).await {
        Ok(whole) => whole,
        Err(error) => return Problem::unavailable(error).into_response(),
    };
    match coding.encode(&whole) {
        Ok(smaller) if smaller.len() < whole.len() => {
            let headers = &mut parts.headers;
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(smaller.len()));
            if let Some(weak) = headers.get(header::ETAG).and_then(weakened) {
                headers.insert(header::ETAG, weak);
            }
            Response::from_parts(parts, Body::from(smaller))
        }
        Ok(_) => Response::from_parts(parts, Body::from(whole)),
        Err(error) => {
            tracing::warn!(%error, coding = coding.name(), "an answer could not be encoded");
            Response::from_parts(parts, Body::from(whole))
        }
    }
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn encode(self, whole: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(whole, ZSTD_LEVEL),
            Self::Gzip => {
                let smaller = Vec::with_capacity(whole.len() / 2);
                let mut encoder = flate2::write::GzEncoder::new(smaller, flate2::Compression::fast());
                encoder.write_all(whole)?;
                encoder.finish()
            }
        }
    }
}

/// The coding with the greatest weight in `Accept-Encoding` (RFC 9110, 12.5.3); of equal ones the smaller and faster.
fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let members: Vec<(&str, u16)> =
        lines.flat_map(|line| line.split(',')).take(CODINGS_MAX).filter_map(member).collect();
    let weight = |coding: Coding| {
        let named = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(coding.name()));
        named.or_else(|| members.iter().find(|(name, _)| *name == "*")).map_or(0, |(_, weight)| *weight)
    };
    let (zstd, gzip) = (weight(Coding::Zstd), weight(Coding::Gzip));
    match (zstd, gzip) {
        (0, 0) => None,
        _ if zstd >= gzip => Some(Coding::Zstd),
        _ => Some(Coding::Gzip),
    }
}

/// The name of a coding and its weight in thousandths; `None` if it is malformed.
fn member(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = match parts.next() {
        None => 1_000,
        Some(weight) => {
            let (_, number) = weight.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("q"))?;
            thousandths(number.trim())?
        }
    };
    Some((name, weight))
}

/// `0.25` → 250; `None` for what is no weight from 0 to 1 with three digits at most.
fn thousandths(number: &str) -> Option<u16> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

/// Whether the service says that any cache may store the answer.
fn is_public(headers: &HeaderMap) -> bool {
    let control = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    control.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("public"))
}

fn may_be_encoded(answer: &Response) -> bool {
    let headers = answer.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    answer.status() == StatusCode::OK
        && !headers.contains_key(header::CONTENT_ENCODING)
        && MEDIA_TYPES.iter().any(|known| media_type.eq_ignore_ascii_case(known))
        && length.is_some_and(|bytes: usize| (BYTES_MIN..=BYTES_MAX).contains(&bytes))
}

/// An encoded answer has other bytes, which a strong tag must tell apart.
fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let strong = tag.to_str().ok().filter(|tag| !tag.starts_with("W/"))?;
    HeaderValue::try_from(format!("W/{strong}")).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Coding, preferred};

    fn coding(lines: &[&'static str]) -> Option<Coding> {
        let line = |line: &&'static str| (header::ACCEPT_ENCODING, HeaderValue::from_static(line));
        preferred(&lines.iter().map(line).collect::<HeaderMap>())
    }

    #[test]
    fn gw16_the_coding_is_the_one_that_the_client_prefers() {
        for line in ["zstd", "gzip, deflate, br, zstd", "GZIP;q=0.5, ZSTD; q=0.5", "*", "gzip;q=0, *"] {
            assert_eq!(coding(&[line]), Some(Coding::Zstd), "{line}");
        }
        for line in ["gzip", "br, gzip;q=0.1", "zstd;q=0.2, gzip;q=0.21", "*, zstd;q=0", "gzip;q=1.000"] {
            assert_eq!(coding(&[line]), Some(Coding::Gzip), "{line}");
        }
        let not = ["", "identity", "br", "gzip;q=0", "*;q=0", "gzip;q=2", "gzip;q=0.1234", "gzip;level=1", "gzip;q=-1"];
        for line in not {
            assert_eq!(coding(&[line]), None, "{line}");
        }
        assert_eq!(coding(&["br", "gzip"]), Some(Coding::Gzip));
        assert_eq!(coding(&[]), None);
    }
}
