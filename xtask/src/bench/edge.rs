//! CPU time of the gateway per request, beside nginx as a proxy of the same upstream on 127.0.0.1. Needs no cluster:
//! starts the release binary, two nginx and the load itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::print;
use crate::cluster::tools;
use crate::environment::Paths;
use crate::image::{self, Profile};
use crate::progress::{note, stage};

pub mod load;
pub mod servers;
pub mod tokens;

use load::{Load, Report};
use servers::{CpuTime, Gateway, Nginx};

/// Programs that this benchmark starts, and their Debian packages.
const NEEDS: [tools::Need; 2] = [("nginx", "nginx-light"), ("openssl", "openssl")];

/// Keep-alive connections of the load; each sends its own token.
const CONNECTIONS: usize = 32;

/// Requests before each measurement, to open every connection and fill every cache.
const WARM_UP: usize = 2_000;

/// Target of the gateway for a forwarded request with a token.
const GOAL: &str = "60 us";

/// Routes that differ in one part of the gateway's work: the token, the call of a service, everything else.
const WITH_TOKEN: &str = "/api/v1/cart";
const WITHOUT_TOKEN: &str = "/api/v1/products";
const NOT_FORWARDED: &str = "/health";

/// One measured row: CPU time per request, in microseconds, and the latency of the load.
struct Row {
    user: f64,
    system: f64,
    report: Report,
}

impl Row {
    fn total(&self) -> f64 {
        self.user + self.system
    }

    fn print(&self, name: &str, goal: &str) {
        print(name, &format!("{:.1} us", self.total()), goal);
        println!(
            "  user {:.1} us, system {:.1} us; latency p50 {:.0} us, p99 {:.0} us",
            self.user, self.system, self.report.p50_us, self.report.p99_us
        );
    }
}

pub fn measure(paths: &Paths, rate: u32, requests: u32) -> Result<()> {
    tools::install(&NEEDS)?;
    stage("compile the services (release)", || image::compile_one(paths, Profile::Release, "agora"))?;
    let folder = tempfile::tempdir()?;
    let bench = Bench::start(&image::binary(paths, Profile::Release, "agora"), folder.path(), rate, requests)?;
    note(&format!("4 measurements of {requests} requests at {rate}/s; other work on this machine falsifies them"));
    let nginx = bench.row(bench.proxy.port, WITH_TOKEN, true, || bench.proxy.cpu_time())?;
    let gateway = |path, token| bench.row(bench.gateway.port, path, token, || bench.gateway.cpu_time());
    let with_token = gateway(WITH_TOKEN, true)?;
    let without_token = gateway(WITHOUT_TOKEN, false)?;
    let not_forwarded = gateway(NOT_FORWARDED, false)?;
    nginx.print("CPU per request: nginx", "for comparison");
    with_token.print("CPU per request: gateway, with a token", GOAL);
    without_token.print("CPU per request: gateway, without a token", "for comparison");
    not_forwarded.print("CPU per request: gateway, not forwarded", "for comparison");
    print("gateway : nginx", &format!("{:.1}", with_token.total() / nginx.total()), "3");
    println!(
        "of the request with a token: token {:.1} us, call of the service {:.1} us, serving and layers {:.1} us",
        with_token.total() - without_token.total(),
        without_token.total() - not_forwarded.total(),
        not_forwarded.total()
    );
    Ok(())
}

/// The running servers and the load that each row repeats.
struct Bench {
    gateway: Gateway,
    proxy: Nginx,
    /// Kept alive for both proxies.
    _upstream: Nginx,
    tokens: Vec<String>,
    interval: Duration,
    requests: usize,
}

impl Bench {
    fn start(binary: &Path, folder: &Path, rate: u32, requests: u32) -> Result<Self> {
        if rate == 0 || requests == 0 {
            bail!("--rate and --requests must be at least 1");
        }
        let place = |name: &str| -> Result<PathBuf> {
            let place = folder.join(name);
            std::fs::create_dir_all(&place).with_context(|| format!("creating {}", place.display()))?;
            Ok(place)
        };
        let upstream = Nginx::upstream(&place("upstream")?)?;
        let proxy = Nginx::proxy(&place("proxy")?, upstream.port)?;
        let keys = tokens::Keys::create(&place("keys")?)?;
        let gateway = Gateway::start(binary, &keys.jwks_file()?, upstream.port, &folder.join("gateway.log"))?;
        let tokens = (0..CONNECTIONS).map(|user| keys.sign(user)).collect::<Result<_>>()?;
        let interval = Duration::from_secs(1) / rate;
        Ok(Self { gateway, proxy, _upstream: upstream, tokens, interval, requests: usize::try_from(requests)? })
    }

    /// Sends the warm-up and the measured requests; returns the CPU time that the measured ones used.
    fn row(&self, port: u16, path: &str, token: bool, cpu: impl Fn() -> Result<CpuTime>) -> Result<Row> {
        let heads: Vec<String> = self.tokens.iter().map(|bearer| head(path, token.then_some(bearer))).collect();
        let mut load = Load::connect(port, &heads)?;
        load.send(WARM_UP, self.interval)?;
        let before = cpu()?;
        let report = load.send(self.requests, self.interval)?;
        let after = cpu()?;
        if after.total() <= before.total() {
            bail!("{} requests used less CPU time than can be measured; raise --requests", self.requests);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let per_request = |seconds: f64| seconds * 1e6 / self.requests as f64;
        Ok(Row {
            user: per_request(after.user - before.user),
            system: per_request(after.system - before.system),
            report,
        })
    }
}

/// A request as a browser's client library sends it.
fn head(path: &str, token: Option<&String>) -> String {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: application/json\r\n\
         Accept-Language: en\r\n{authorization}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_one_blank_line_at_its_end_and_the_token_if_there_is_one() {
        let token = "t.o.k".to_owned();
        for (sent, wanted) in [(head("/x", None), false), (head("/x", Some(&token)), true)] {
            assert!(sent.starts_with("GET /x HTTP/1.1\r\n") && sent.ends_with("\r\n\r\n"), "{sent}");
            assert_eq!(sent.matches("\r\n\r\n").count(), 1, "{sent}");
            assert_eq!(sent.contains("Authorization: Bearer t.o.k\r\n"), wanted, "{sent}");
        }
    }
}
