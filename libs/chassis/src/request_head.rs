//! The head of a request in memory of its own.

use axum::{
    body::Bytes,
    http::{HeaderValue, Request, Uri},
};

/// Copies the target and the values of the headers out of the read buffer of their connection. hyper reads on while a request
/// is served, in order to notice that its client has left; as long as the head shares the buffer of 8 KiB, that takes another.
pub(crate) fn unshared<B>(mut request: Request<B>) -> Request<B> {
    let target = target(request.uri()).len();
    let bytes = request.headers().values().fold(target, |sum, value| sum + value.len());
    let mut copy = Vec::with_capacity(bytes);
    copy.extend_from_slice(self::target(request.uri()).as_bytes());
    request.headers().values().for_each(|value| copy.extend_from_slice(value.as_bytes()));
    let mut copy = Bytes::from(copy);
    // Neither can fail: both were valid where they come from.
    if let (Ok(uri), 1..) = (Uri::from_maybe_shared(copy.split_to(target)), target) {
        *request.uri_mut() = uri;
    }
    for value in request.headers_mut().values_mut() {
        if let Ok(mut unshared) = HeaderValue::from_maybe_shared(copy.split_to(value.len())) {
            unshared.set_sensitive(value.is_sensitive());
            *value = unshared;
        }
    }
    request
}

/// Path and query; empty for a target with an authority, which stays as it is.
fn target(uri: &Uri) -> &str {
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(target)) => target.as_str(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Bytes,
        http::{HeaderValue, Request, Uri, header},
    };

    use super::unshared;

    #[test]
    fn a_request_is_the_same_and_shares_nothing_with_the_read_buffer() {
        let buffer = Bytes::from(b"/a/b?c=%20d*gzip, br1\xff2".to_vec());
        let (target, star, first, second) =
            (buffer.slice(..11), buffer.slice(11..12), buffer.slice(12..20), buffer.slice(20..));
        for (target, text) in [(target, "/a/b?c=%20d"), (star, "*"), (Bytes::from("http://x/y?z"), "http://x/y?z")] {
            let mut request = Request::new(());
            *request.uri_mut() = Uri::from_maybe_shared(target).unwrap();
            let values = [&first, &second].map(|value| HeaderValue::from_maybe_shared(value.clone()).unwrap());
            request.headers_mut().append(header::ACCEPT_ENCODING, values[0].clone());
            request.headers_mut().append(header::ACCEPT_ENCODING, values[1].clone());
            drop(values);
            let request = unshared(request);
            assert_eq!(request.uri().to_string(), text);
            let values: Vec<_> = request.headers().values().map(HeaderValue::as_bytes).collect();
            assert_eq!(values, [&b"gzip, br"[..], &b"1\xff2"[..]]);
        }
        drop((first, second));
        assert!(buffer.is_unique(), "the buffer is free for the next bytes");
    }
}
