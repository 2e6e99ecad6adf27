//! The servers of the measurement, on free ports of 127.0.0.1: nginx with a fixed answer, nginx as a proxy, the gateway.
//! Each ends when its value is dropped.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use agora_topology::ALL;
use anyhow::{Context, Result, bail};

use crate::command::{command, tail, until};

/// Unit of times in /proc on Linux (USER_HZ), independent of the kernel's tick.
const TICKS_PER_SECOND: f64 = 100.0;
const START_MAX: Duration = Duration::from_secs(10);
/// Size of the fixed answer's text, in bytes; with its frame it is a JSON document of about 1 KiB.
const ANSWER_BYTES: usize = 1_000;
/// Idle connections that a proxy keeps to its upstream.
const KEPT_CONNECTIONS: usize = 64;

/// CPU seconds of a process since its start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuTime {
    pub user: f64,
    pub system: f64,
}

impl CpuTime {
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("a measured process ended")?;
        parse(&stat).context("/proc/PID/stat has another form than expected")
    }
}

/// The command name is in parentheses and may contain spaces, so fields are counted after the last `)`.
fn parse(stat: &str) -> Option<CpuTime> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    Some(CpuTime { user: seconds()?, system: seconds()? })
}

/// A process that is killed when this value is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Waits until the port accepts connections; the error contains the end of the log.
    fn await_port(&mut self, port: u16, log: &Path) -> Result<()> {
        let mut ended = None;
        let up = until(START_MAX, || {
            ended = self.0.try_wait().ok().flatten();
            ended.is_some() || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        match ended {
            Some(status) => bail!("a server ended with {status}:\n{}", tail(log)),
            None if !up => bail!("a server does not listen after {} s:\n{}", START_MAX.as_secs(), tail(log)),
            None => Ok(()),
        }
    }
}

/// nginx with one process.
pub struct Nginx {
    server: Server,
    pub port: u16,
}

impl Nginx {
    /// Answers every request with the same JSON document.
    pub fn upstream(folder: &Path) -> Result<Self> {
        let text = "a".repeat(ANSWER_BYTES);
        let location = format!("default_type application/json; return 200 '{{\"items\":[],\"text\":\"{text}\"}}';");
        Self::start(folder, "", &location)
    }

    /// Forwards every request to 127.0.0.1 on `to`, over kept connections.
    pub fn proxy(folder: &Path, to: u16) -> Result<Self> {
        let upstream = format!(
            "upstream fixed {{ server 127.0.0.1:{to}; keepalive {KEPT_CONNECTIONS}; keepalive_requests 100000000; }}"
        );
        let location = "proxy_pass http://fixed; proxy_http_version 1.1; proxy_set_header Connection '';";
        Self::start(folder, &upstream, location)
    }

    fn start(folder: &Path, upstream: &str, location: &str) -> Result<Self> {
        let (port, log) = (free_port()?, folder.join("error.log"));
        // One process without a master, so that its times are those of the work.
        let text = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log; worker_processes 1;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;\n\
             scgi_temp_path scgi; {upstream}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text)?;
        let mut nginx = command("nginx", ["-e", "error.log", "-p"]);
        nginx.arg(folder).arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Server(nginx.spawn().context("starting nginx")?);
        server.await_port(port, &log)?;
        Ok(Self { server, port })
    }

    pub fn cpu_time(&self) -> Result<CpuTime> {
        CpuTime::of(self.server.0.id())
    }
}

/// The gateway of the release binary, with every service at one address.
pub struct Gateway {
    server: Server,
    pub port: u16,
}

impl Gateway {
    pub fn start(binary: &Path, jwks: &Path, upstream: u16, log: &Path) -> Result<Self> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let mut gateway = command(binary, ["serve", "gateway"]);
        gateway.env_clear().env("JWKS_FILE", jwks).env("REDIS_URL", "redis://127.0.0.1:1");
        gateway.env("KAFKA_BROKERS", "127.0.0.1:1");
        gateway.env("PORT", port.to_string()).env("ADMIN_PORT", admin_port.to_string());
        for service in ALL.iter().filter(|service| service.behind_gateway) {
            let name = format!("{}_URL", service.name.to_ascii_uppercase());
            gateway.env(name, format!("http://127.0.0.1:{upstream}"));
        }
        let output = File::create(log)?;
        gateway.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut server = Server(gateway.spawn().with_context(|| format!("starting {}", binary.display()))?);
        server.await_port(port, log)?;
        Ok(Self { server, port })
    }

    pub fn cpu_time(&self) -> Result<CpuTime> {
        CpuTime::of(self.server.0.id())
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_read_behind_a_name_with_spaces() {
        let stat = "7 (a) b) S 1 1 7 0 -1 4 1 0 0 0 150 25 0 0 20 0 1 0 4711 1 1";
        assert_eq!(parse(stat), Some(CpuTime { user: 1.5, system: 0.25 }));
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
