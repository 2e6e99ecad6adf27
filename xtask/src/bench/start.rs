//! Time from process start to ready. Starts a second process in the namespaces and with the environment of each
//! service's pod, on other ports.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::memory::{Process, running};
use super::print;
use crate::command::{command, output};

const PORTS: [(&str, u16); 3] = [("PORT", 21_000), ("INTERNAL_PORT", 21_001), ("ADMIN_PORT", 21_002)];
const TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: usize = 5;

pub fn measure() -> Result<()> {
    for process in running()?.iter().filter(|process| process.name != "agora-operator") {
        let mut milliseconds = (0..TRIES).map(|_| measure_one(process)).collect::<Result<Vec<f64>>>()?;
        milliseconds.sort_by(f64::total_cmp);
        print(
            &format!("start time of {} (median of {TRIES})", process.name),
            &format!("{:.0} ms", milliseconds[TRIES / 2]),
            "100 ms",
        );
    }
    Ok(())
}

fn measure_one(process: &Process) -> Result<f64> {
    let address = SocketAddr::new(pod_address(process.pid)?.parse()?, PORTS[2].1);
    let pid = process.pid.to_string();
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ"))?;
    let mut second = command("nsenter", ["-t", &pid, "-n", "-m", "--", "/bin/agora", "serve", &process.name]);
    second.env_clear().envs(environment.split('\0').filter_map(|variable| variable.split_once('=')));
    second.envs(PORTS.map(|(name, port)| (name, port.to_string())));
    let started = Instant::now();
    let mut child = second.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let ready = ready_after(&mut child, address, started);
    let _ = child.kill();
    let _ = child.wait();
    ready.with_context(|| format!("starting a second {}", process.name))
}

fn ready_after(child: &mut Child, address: SocketAddr, started: Instant) -> Result<f64> {
    while started.elapsed() < TIMEOUT {
        if is_ready(address) {
            return Ok(started.elapsed().as_secs_f64() * 1000.0);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the process ended with {status}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the process is not ready after {} s", TIMEOUT.as_secs());
}

fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) else { return false };
    let request = b"GET /readyz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n";
    let mut status = [0; 12];
    stream.write_all(request).is_ok() && stream.read_exact(&mut status).is_ok() && status.ends_with(b" 200")
}

fn pod_address(pid: u32) -> Result<String> {
    let text = output(&mut command(
        "nsenter",
        ["-t", &pid.to_string(), "-n", "ip", "-4", "-o", "addr", "show", "dev", "eth0"],
    ))?;
    let address = text.split_whitespace().find(|word| word.starts_with("10.244."));
    Ok(address.and_then(|word| word.split('/').next()).context("the pod has no address")?.to_owned())
}
