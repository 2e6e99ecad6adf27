//! Pauses that grow: of a worker that finds nothing to do, or of a task that fails.

use std::time::Duration;

/// Pauses between two tries: each is twice as long as the one before, up to a limit. An idle or failing task so wakes rarely,
/// and a busy one tries often.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Pauses {
    /// Pauses from `first` to `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// The pause before the next try.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = self.max.min(pause * 2);
        pause
    }

    /// Begins again with the first pause: a try succeeded, or is about to.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_begin_again_after_work() {
        let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(3));
        let seconds: Vec<u64> = std::iter::repeat_with(|| pauses.pause().as_secs()).take(4).collect();
        assert_eq!(seconds, [1, 2, 3, 3]);
        pauses.reset();
        assert_eq!(pauses.pause().as_secs(), 1);
    }
}
