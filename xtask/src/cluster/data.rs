//! PostgreSQL, Kafka and Redis as processes of the host, on ports of their own, reached by pods at the node's address.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::cluster::jars::{self, Jars};
use crate::cluster::processes::{self, Daemon};
use crate::command::{command, output, run, write};
use crate::environment::Places;

pub const ADMIN: &str = "agora_admin";
const POSTGRES_PORT: u16 = 15432;
const KAFKA_PORT: u16 = 19092;
const REDIS_PORT: u16 = 16379;
const CONNECTIONS_MAX: u16 = 300;
const READY_SECONDS_MAX: u64 = 60;

/// Starts the three; they get ready while the control plane does.
pub fn start(places: &Places, jars: &Jars) -> Result<()> {
    postgres(places, jars)?;
    kafka(places, jars)?;
    let redis = format!(
        "--port {REDIS_PORT} --bind 10.244.0.1 127.0.0.1 --protected-mode no --save  --appendonly no --daemonize no"
    );
    let redis = as_data_user("redis", "redis-server", &redis);
    processes::ensure(places, &redis)
}

pub fn wait(places: &Places) -> Result<()> {
    processes::wait_for(places, "postgres", READY_SECONDS_MAX, || accepts_logins(POSTGRES_PORT))?;
    processes::wait_for(places, "redis", READY_SECONDS_MAX, || listens(REDIS_PORT))?;
    processes::wait_for(places, "kafka", READY_SECONDS_MAX, || listens(KAFKA_PORT))
}

/// The password of `ADMIN`, made with the data folder.
pub fn admin_password(places: &Places) -> Result<String> {
    Ok(std::fs::read_to_string(home(places).join("agora_admin.password"))?.trim().to_owned())
}

fn postgres(places: &Places, jars: &Jars) -> Result<()> {
    let home = home(places);
    let data = home.join("data");
    if !home.join("complete").exists() {
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(&home)?;
        initialise(places, jars)?;
        write(&home.join("complete"), "")?;
    }
    let program = jars.postgres.join("postgres").display().to_string();
    let arguments = format!(
        "-D {} -p {POSTGRES_PORT} -c listen_addresses=10.244.0.1,127.0.0.1 -c unix_socket_directories= -c max_connections={CONNECTIONS_MAX}",
        data.display()
    );
    processes::ensure(places, &as_data_user("postgres", &program, &arguments))
}

/// A new data folder with the admin role. The role is no superuser, as with a managed database.
fn initialise(places: &Places, jars: &Jars) -> Result<()> {
    let home = home(places);
    let (data, superuser) = (home.join("data"), home.join("postgres.password"));
    let admin = jars::password()?;
    write(&superuser, &jars::password()?)?;
    write(&home.join("agora_admin.password"), &admin)?;
    std::fs::create_dir(&data)?;
    run(command("chmod", ["700"]).arg(&home))?;
    run(command("chown", ["-R", jars::USER]).arg(&home))?;
    let user = jars::as_user();
    let mut init = command(&user[0], &user[1..]);
    init.arg(jars.postgres.join("initdb")).args([
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "--locale=C.UTF-8",
        "--encoding=UTF8",
    ]);
    run(init.arg("-D").arg(&data).arg("--pwfile").arg(&superuser))?;
    let rules = data.join("pg_hba.conf");
    let text = std::fs::read_to_string(&rules)?;
    write(&rules, &format!("{text}host all all 10.244.0.0/24 scram-sha-256\n"))?;
    jars::single_user(jars, &data, &format!("create role {ADMIN} login createdb createrole password '{admin}'\n"))
}

fn kafka(places: &Places, jars: &Jars) -> Result<()> {
    let home = places.state.join("kafka");
    let (properties, logging) = (home.join("server.properties"), home.join("log4j2.yaml"));
    let changed = write(&properties, &kafka_properties(&home.join("data").display().to_string()))?;
    write(
        &logging,
        "Configuration:\n  status: warn\n  Appenders: {Console: {name: C, PatternLayout: {pattern: \"%d %p %c{1} %m%n\"}}}\n  Loggers: {Root: {level: warn, AppenderRef: {ref: C}}}\n",
    )?;
    let java = [
        format!("-Dlog4j2.configurationFile={}", logging.display()),
        "-cp".to_owned(),
        format!("{}/*", jars.kafka.display()),
    ];
    if !home.join("data/meta.properties").exists() {
        let tool = "kafka.tools.StorageTool";
        let id = output(command("java", &java).args([tool, "random-uuid"]))?;
        let id = id.lines().last().unwrap_or_default();
        run(command("java", &java).args([tool, "format", "-t", id, "-c"]).arg(&properties))?;
    }
    let flags = format!(
        "-Xmx256m -Xms128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 {} kafka.Kafka {}",
        java.join(" "),
        properties.display()
    );
    // Not as the data user: Java asks by access(2), which knows no capabilities, and would find a closed home closed.
    processes::ensure(places, &Daemon { changed, ..Daemon::parse("kafka", Path::new("java"), &flags) })
}

fn kafka_properties(data: &str) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:19093
listeners=PODS://10.244.0.1:19192,HOST://127.0.0.1:{KAFKA_PORT},CTRL://127.0.0.1:19093
advertised.listeners=PODS://10.244.0.1:19192,HOST://127.0.0.1:{KAFKA_PORT}
listener.security.protocol.map=PODS:PLAINTEXT,HOST:PLAINTEXT,CTRL:PLAINTEXT
inter.broker.listener.name=HOST
controller.listener.names=CTRL
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"
    )
}

fn as_data_user(name: &'static str, program: &str, arguments: &str) -> Daemon {
    // Two blanks stand for an empty word: `--save ''`.
    let words = arguments.split(' ').map(str::to_owned);
    Daemon::new(name, jars::as_user().into_iter().chain([program.to_owned()]).chain(words))
}

fn home(places: &Places) -> PathBuf {
    places.state.join("postgres")
}

fn listens(port: u16) -> bool {
    connect(port).is_some()
}

/// Whether PostgreSQL answers a login with a question for the password: while it starts it answers with an error.
fn accepts_logins(port: u16) -> bool {
    let Some(mut stream) = connect(port) else { return false };
    let parameters = b"user\0agora_admin\0database\0postgres\0\0";
    let length = u32::try_from(8 + parameters.len()).unwrap_or_default();
    let mut message = length.to_be_bytes().to_vec();
    message.extend(196_608_u32.to_be_bytes());
    message.extend(parameters);
    let mut first = [0];
    stream.write_all(&message).is_ok() && stream.read_exact(&mut first).is_ok() && first == *b"R"
}

fn connect(port: u16) -> Option<TcpStream> {
    let limit = Duration::from_secs(1);
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    Some(stream)
}
