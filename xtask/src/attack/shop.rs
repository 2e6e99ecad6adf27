//! The services under attack or under a benchmark: each a process of its own, with PostgreSQL in a temporary folder and no broker, as during an
//! outage of it. All end when the value is dropped.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agora_topology::{ALL, Service};
use anyhow::{Context, Result, bail};

use super::client;
use crate::bench::edge::servers::free_port;
use crate::bench::edge::tokens::Keys;
use crate::cluster::jars;
use crate::command::{command, feed, run, tail, until};
use crate::environment::Paths;

const START_MAX: Duration = Duration::from_secs(30);
const SETTINGS: [(&str, &str); 9] = [
    ("INTERNAL_SECRET", "0123456789abcdef0123456789abcdef"),
    ("KAFKA_BROKERS", "127.0.0.1:1"),
    ("REDIS_URL", "redis://127.0.0.1:1"),
    ("ISOLATION_KEY", "attack"),
    ("PAYMENT_PROVIDER", "Simulator"),
    ("ENCRYPTION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ("LEGACY_ALIASES", "Enabled"),
    ("DATABASE_POOL_SIZE", "5"),
    ("RUST_LOG", "error"),
];

/// The running shop.
pub struct Shop {
    services: Vec<Process>,
    _postgres: Process,
    /// Address of the gateway.
    pub gateway: SocketAddr,
    /// Address of the search.
    pub search: SocketAddr,
    /// Port of PostgreSQL.
    pub postgres_port: u16,
}

/// A process that is killed when this value is dropped.
struct Process {
    name: &'static str,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shop {
    pub fn start(paths: &Paths, binary: &Path, folder: &Path) -> Result<Self> {
        let (postgres, postgres_port) = start_postgres(&jars::ensure(paths)?.postgres, &folder.join("postgres"))?;
        let keys = folder.join("keys");
        std::fs::create_dir_all(&keys)?;
        let jwks = Keys::create(&keys)?.jwks_file()?;
        let mut environment: BTreeMap<String, String> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        environment.insert("JWKS_FILE".to_owned(), jwks.display().to_string());
        environment.insert("SIGNING_KEY_FILE".to_owned(), keys.join("key.pem").display().to_string());
        let ports = addresses(&mut environment, postgres_port)?;
        run(command(binary, ["migrate", "all"]).env_clear().envs(&environment))?;
        let mut services = Vec::new();
        for service in ALL.iter().filter(|service| service.behind_gateway || service.name == "gateway") {
            services.push(start_service(binary, service, &environment, folder)?);
        }
        let address =
            |name: &str| SocketAddr::from((Ipv4Addr::LOCALHOST, ports.get(name).copied().unwrap_or_default()));
        let (gateway, search) = (address("gateway"), address("search"));
        Ok(Self { services, _postgres: postgres, gateway, search, postgres_port })
    }

    /// Names of the services, in the order of [`Shop::peaks_kib`].
    pub fn names(&self) -> Vec<&'static str> {
        self.services.iter().map(|service| service.name).collect()
    }

    /// Forgets the most memory that each process had.
    pub fn reset_peaks(&self) -> Result<()> {
        for Process { name, child } in &self.services {
            std::fs::write(format!("/proc/{}/clear_refs", child.id()), "5").with_context(|| format!("{name} ended"))?;
        }
        Ok(())
    }

    /// Most resident memory of each process since the reset.
    pub fn peaks_kib(&self) -> Result<Vec<u64>> {
        self.memory_kib("VmHWM:")
    }

    /// Resident memory of each process.
    pub fn resident_kib(&self) -> Result<Vec<u64>> {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, field: &str) -> Result<Vec<u64>> {
        let memory = |Process { name, child }: &Process| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            kib.with_context(|| format!("{name} ended"))
        };
        self.services.iter().map(memory).collect()
    }
}

/// A server without passwords: it listens on loopback and is removed at the end.
fn start_postgres(programs: &Path, home: &Path) -> Result<(Process, u16)> {
    std::fs::create_dir_all(home)?;
    run(command("chown", [jars::USER]).arg(home))?;
    let parent = home.parent().context("no parent folder")?;
    run(command("chmod", ["a+x"]).arg(parent))?;
    let (data, port, log) = (home.join("data"), free_port()?, home.join("log"));
    let as_user = |program: &str| {
        let mut words = jars::as_user();
        words.push(programs.join(program).display().to_string());
        let mut command = command(&words[0], &words[1..]);
        command.current_dir(home);
        command
    };
    let initialise = ["-U", "postgres", "-A", "trust", "--locale=C.UTF-8", "--encoding=UTF8", "-D"];
    run(as_user("initdb").args(initialise).arg(&data))?;
    let databases = ALL.iter().filter(|service| service.database);
    let create: Vec<String> = databases.map(|service| format!("create database \"{}\";\n", service.name)).collect();
    // Without a server, because the archive of PostgreSQL has no client.
    feed(as_user("postgres").arg("--single").arg("-D").arg(&data).arg("postgres"), &create.concat())?;
    let mut server = as_user("postgres");
    server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=100", "fsync=off"] {
        server.args(["-c", setting]);
    }
    let mut postgres = Process { name: "postgres", child: with_log(&mut server, &log)? };
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    if !until(START_MAX, || listens() || ended(&mut postgres.child)) || ended(&mut postgres.child) {
        bail!("PostgreSQL did not start:\n{}", tail(&log));
    }
    Ok((postgres, port))
}

/// Ports and addresses of every service; returns the public ports.
fn addresses(environment: &mut BTreeMap<String, String>, postgres_port: u16) -> Result<BTreeMap<&'static str, u16>> {
    let mut ports = BTreeMap::new();
    for service in ALL {
        let name = service.name.to_ascii_uppercase();
        let (public, internal) = (free_port()?, free_port()?);
        ports.insert(service.name, public);
        environment.insert(format!("{name}_PORT"), public.to_string());
        environment.insert(format!("{name}_INTERNAL_PORT"), internal.to_string());
        environment.insert(format!("{name}_ADMIN_PORT"), free_port()?.to_string());
        environment.insert(format!("{name}_URL"), format!("http://127.0.0.1:{public}"));
        environment.insert(format!("{name}_INTERNAL_URL"), format!("http://127.0.0.1:{internal}"));
        if service.database {
            let url = format!("postgres://postgres@127.0.0.1:{postgres_port}/{}", service.name);
            environment.insert(format!("{name}_DATABASE_URL"), url);
        }
    }
    Ok(ports)
}

fn start_service(
    binary: &Path,
    service: &'static Service,
    environment: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<Process> {
    let log = folder.join(format!("{}.log", service.name));
    let child = with_log(command(binary, ["serve", service.name]).env_clear().envs(environment), &log)?;
    let mut process = Process { name: service.name, child };
    let admin = &environment[&format!("{}_ADMIN_PORT", service.name.to_ascii_uppercase())];
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin.parse()?));
    let ready = until(START_MAX, || client::is_ready(admin) || ended(&mut process.child));
    if !ready || ended(&mut process.child) {
        bail!("{} is not ready:\n{}", service.name, tail(&log));
    }
    Ok(process)
}

fn with_log(command: &mut Command, log: &Path) -> Result<Child> {
    let output = File::create(log)?;
    let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
    child.with_context(|| format!("starting {}", command.get_program().display()))
}

fn ended(child: &mut Child) -> bool {
    child.try_wait().ok().flatten().is_some()
}
