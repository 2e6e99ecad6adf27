//! The body of a request as a router reads it. What the router leaves unread is read and dropped for a while after the
//! response: a connection that is closed before the client has sent everything is reset, and the client then sees a broken
//! pipe in place of the response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Request, header},
};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// Most bytes that are read and dropped, and how long that may take.
const DRAINED_BYTES_MAX: usize = 16 << 20;
const DRAIN_MAX: Duration = Duration::from_secs(5);

pub(crate) struct RequestBody {
    /// `None` once it has ended.
    incoming: Option<Incoming>,
    /// Whether the client sends the body without being asked for it.
    comes_anyway: bool,
}

impl RequestBody {
    pub fn of(request: Request<Incoming>) -> Request<Self> {
        let comes_anyway = !request.headers().contains_key(header::EXPECT);
        request.map(|incoming| Self { incoming: Some(incoming), comes_anyway })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.incoming.take().filter(|incoming| self.comes_anyway && !incoming.is_end_stream());
        if let Some(unread) = unread {
            spawn(drain(unread));
        }
    }
}

/// Ends within [`DRAIN_MAX`], and with the connection.
fn spawn(draining: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(draining);
    }
}

async fn drain(mut unread: Incoming) {
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = unread.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAINED_BYTES_MAX {
                return;
            }
        }
    };
    if tokio::time::timeout(DRAIN_MAX, reading).await.is_err() {
        tracing::debug!("a client went on sending a body that was refused");
    }
}
