//! Requests for the same server that are made at the same time, answered by one call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

/// Time for which a batch takes further requests: tasks that are due at the same moment join, and a single one hardly waits.
const OPEN: Duration = Duration::from_millis(100);

/// Requests of type `R` that wait for their common answer of type `A`, by server.
pub struct Batches<R, A>(Arc<Mutex<BTreeMap<String, Batch<R, A>>>>);

struct Batch<R, A> {
    requests: Arc<Mutex<Vec<R>>>,
    answer: Shared<BoxFuture<'static, A>>,
}

impl<R, A> Default for Batches<R, A> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Not the requests, which may contain passwords.
impl<R, A> fmt::Debug for Batches<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batches")
    }
}

impl<R, A> Batches<R, A>
where
    R: Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    /// Joins the batch of `server`, or opens one, whose requests `call` answers. The call begins after this one, so its answer
    /// is never older than the request. May be cancelled: the others of the batch get their answer all the same.
    pub async fn answer<F>(&self, server: String, request: R, call: impl FnOnce(Vec<R>) -> F + Send + 'static) -> A
    where
        F: Future<Output = A> + Send + 'static,
    {
        let answer = {
            let mut open = lock(&self.0);
            if let Some(batch) = open.get(&server) {
                lock(&batch.requests).push(request);
                batch.answer.clone()
            } else {
                let requests = Arc::new(Mutex::new(vec![request]));
                let (batches, closing, all) = (self.0.clone(), server.clone(), requests.clone());
                let answer = async move {
                    tokio::time::sleep(OPEN).await;
                    // From here on a request opens the next batch.
                    lock(&batches).remove(&closing);
                    let all = std::mem::take(&mut *lock(&all));
                    call(all).await
                };
                let answer = answer.boxed().shared();
                open.insert(server, Batch { requests, answer: answer.clone() });
                answer
            }
        };
        answer.await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::future::join3;

    use super::*;

    /// The requests of each call.
    type Calls = Arc<Mutex<Vec<Vec<u32>>>>;

    async fn ask(batches: &Batches<u32, u32>, calls: &Calls, server: &str, request: u32) -> u32 {
        let calls = calls.clone();
        let sum = |requests: Vec<u32>| async move {
            let sum = requests.iter().sum();
            calls.lock().unwrap().push(requests);
            sum
        };
        batches.answer(server.to_owned(), request, sum).await
    }

    #[tokio::test]
    async fn requests_for_one_server_share_a_call_and_later_ones_get_another() {
        let (batches, calls) = (Batches::default(), Calls::default());
        let (one, two, other) =
            join3(ask(&batches, &calls, "a", 1), ask(&batches, &calls, "a", 2), ask(&batches, &calls, "b", 4)).await;
        assert_eq!((one, two, other), (3, 3, 4));
        assert_eq!(ask(&batches, &calls, "a", 8).await, 8);
        assert_eq!(*calls.lock().unwrap(), [vec![1, 2], vec![4], vec![8]]);
    }

    #[tokio::test]
    async fn a_request_that_is_cancelled_does_not_take_the_answer_of_the_others() {
        let (batches, calls) = (Batches::default(), Calls::default());
        let mut first = Box::pin(ask(&batches, &calls, "a", 1));
        assert!(futures::poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(ask(&batches, &calls, "a", 2));
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        assert_eq!(second.await, 3);
    }
}
