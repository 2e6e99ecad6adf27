//! PostgreSQL, Kafka and Redis as processes of the host; pods connect to them at the node's address. Each accepts
//! plaintext (profile Development) and TLS, with a certificate for its Service name in namespace `data`.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::jars::{self, Jars};
use crate::cluster::processes::{self, Daemon};
use crate::cluster::{kafka, postgres};
use crate::command::{command, run, write};
use crate::environment::Paths;

/// User of Kafka and Redis; its password is in `agora.password` of each data folder.
pub const USER: &str = "agora";
const REDIS_PORT: u16 = 16379;
const READY_SECONDS_MAX: u64 = 60;

/// Starts the three services without waiting until they are ready.
pub fn start(paths: &Paths, jars: &Jars) -> Result<()> {
    postgres::start(paths, jars)?;
    kafka::start(paths, jars)?;
    redis(paths)
}

pub fn wait(paths: &Paths) -> Result<()> {
    processes::wait_for(paths, "postgres", READY_SECONDS_MAX, postgres::accepts_logins)?;
    processes::wait_for(paths, "redis", READY_SECONDS_MAX, || connect(REDIS_PORT).is_some())?;
    processes::wait_for(paths, "kafka", READY_SECONDS_MAX, || connect(kafka::PORT).is_some())
}

pub fn connect(port: u16) -> Option<TcpStream> {
    let limit = Duration::from_secs(1);
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    Some(stream)
}

/// Copies a file of the PKI folder with mode 600 and the data user as its owner.
pub fn private_copy(paths: &Paths, name: &str, to: &Path) -> Result<()> {
    let owner = ["-m", "600", "-o", jars::USER];
    run(command("install", owner).arg(paths.pki().join(name)).arg(to))
}

fn redis(paths: &Paths) -> Result<()> {
    let home = paths.state.join("redis");
    let kept = std::fs::read_to_string(home.join("agora.password"));
    let password = kept.or_else(|_| jars::password())?;
    write(&home.join("agora.password"), &password)?;
    private_copy(paths, "data.crt", &home.join("server.crt"))?;
    private_copy(paths, "data.key", &home.join("server.key"))?;
    let file = home.join("redis.conf");
    let changed = write(&file, &redis_configuration(&home, &password))?;
    run(command("chown", ["-R", jars::USER]).arg(&home))?;
    run(command("chmod", ["700"]).arg(&home))?;
    let words = ["redis-server".to_owned(), file.display().to_string()];
    processes::ensure(paths, &Daemon { changed, ..Daemon::new("redis", jars::as_user().into_iter().chain(words)) })
}

fn redis_configuration(home: &Path, password: &str) -> String {
    let home = home.display();
    format!(
        "port {REDIS_PORT}
tls-port 16380
tls-cert-file {home}/server.crt
tls-key-file {home}/server.key
tls-auth-clients no
bind 10.244.0.1 127.0.0.1
protected-mode no
user {USER} on >{password} ~* &* +@all
save \"\"
appendonly no
daemonize no
"
    )
}
