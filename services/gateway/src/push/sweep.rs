//! The work of the hub by time: ends streams that are no longer allowed, and sends heartbeats. Sleeps while there is no
//! stream.

use std::time::Duration;

use agora_chassis::Process;
use agora_vocab::SessionId;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::hub::Hub;

/// How often tokens and sessions of streams are checked. A process learns of an ended session within a second, so that its
/// streams end within two.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// Proxies close connections that are silent for longer; the most common limit is 60 s.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

impl Hub {
    /// Starts the work; it ends with the process. When that begins to end, all streams end.
    pub fn supervise(&self, has_ended: impl Fn(SessionId) -> bool + Clone + Send + Sync + 'static, process: &Process) {
        let (hub, draining) = (self.clone(), process.draining());
        process.supervise("streams", move || {
            let (hub, has_ended, draining) = (hub.clone(), has_ended.clone(), draining.clone());
            async move {
                draining.run_until_cancelled(hub.sweep(has_ended)).await;
                hub.drain();
                Ok(())
            }
        });
    }

    async fn sweep(&self, has_ended: impl Fn(SessionId) -> bool) {
        loop {
            self.until_open().await;
            let mut ticks = interval(CHECK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last_beat = Instant::now();
            while self.open() > 0 {
                ticks.tick().await;
                self.end_invalid(&has_ended);
                if last_beat.elapsed() >= HEARTBEAT_EVERY {
                    last_beat = Instant::now();
                    self.beat();
                }
            }
        }
    }
}
