//! The log of a test, kept in memory: lines as a process writes them.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _};

use crate::telemetry::json_lines;

/// The lines that the current thread logs from [`CapturedLog::start`] until it is dropped.
#[derive(Debug)]
#[must_use = "logs are captured until this is dropped"]
pub struct CapturedLog {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Captures what is logged at level info and above, and the spans around it.
    pub fn start() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let lines = json_lines().with_writer(move || writer.clone());
        let guard = set_default(Registry::default().with(EnvFilter::new("info")).with(lines));
        Self { written, _guard: guard }
    }

    /// All that was written.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.bytes()).into_owned()
    }

    /// The lines with this target, such as "access", each as its JSON object.
    pub fn lines_of(&self, target: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == target).collect()
    }
}

impl Written {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
