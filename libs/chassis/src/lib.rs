//! What each process has: settings, logs, traces, metrics, the admin port, readiness, tracked tasks, shutdown.
//!
//! Knows nothing of what a service is for: no database, no broker, no wire type. It is the one place that reads the
//! environment, the clock and the random source, and that spawns tasks.

pub mod admin;
mod captured_log;
mod clock;
mod connection;
mod connections;
pub mod deadline;
mod flags;
mod heartbeat;
mod long_lived;
mod newcomers;
mod otlp_metrics;
mod pauses;
mod process;
mod process_metrics;
mod prometheus_text;
mod readiness;
mod refusal;
mod request_body;
mod request_head;
mod routers;
mod run;
mod server;
mod settings;
pub mod shutdown_signal;
mod socket;
mod span_fields;
pub mod telemetry;
mod tls;
pub mod trace;
mod watched;

pub use captured_log::CapturedLog;
pub use clock::{SystemClock, SystemIds};
pub use connection::IDLE_CONNECTION_MAX;
pub use flags::FlagSwitch;
pub use heartbeat::Heartbeat;
pub use long_lived::LongLived;
pub use pauses::Pauses;
pub use process::Process;
pub use readiness::{Dependency, Gate, Report, Waiting};
pub use routers::Routers;
pub use run::{Ports, Service, Started, Timing, run};
pub use server::bind;
pub use settings::{Fault, Faults, Reader, names_read, settings, settings_from};
pub use tls::{ServerTls, TlsFault, TlsFiles, TlsPort};
pub use watched::{WatchedFile, WatchedSecret};

/// Any error, for ports whose failures have no closed list.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error and its sources on one line, for a log: "telling the order: connection refused".
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
