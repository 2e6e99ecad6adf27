//! Responses without an end, such as a stream of events. Knows nothing of what they carry.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::connections::Connection;

/// Time for a client to read the end of a response before its connection is cut.
const READ_END_MAX: Duration = Duration::from_secs(1);

/// Marks a response whose body goes on for as long as its client stays; stands in the extensions of the response.
///
/// Its connection takes no place among those of the port, which are for requests, and is not replaced because of its age.
/// Who sends such a response limits their number.
#[derive(Clone, Debug)]
pub struct LongLived {
    ended: CancellationToken,
}

impl LongLived {
    /// A response that is over once `ended` is cancelled: a second later the connection is cut, even if the client does
    /// not read what was sent before.
    pub const fn until(ended: CancellationToken) -> Self {
        Self { ended }
    }

    /// Cuts the connection unless the body has been dropped in time.
    pub(crate) async fn cut_at_end(self, connection: Arc<Connection>, dropped: CancellationToken) {
        tokio::select! {
            () = dropped.cancelled() => return,
            () = self.ended.cancelled() => {}
        }
        if tokio::time::timeout(READ_END_MAX, dropped.cancelled()).await.is_err() {
            connection.cut();
        }
    }
}
