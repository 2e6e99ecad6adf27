//! Kafka of the local cluster: one process in KRaft mode. Plaintext listeners for the host and for pods, and a TLS
//! listener with SCRAM-SHA-512 or PLAIN.

use std::path::Path;

use anyhow::Result;

use crate::cluster::data::USER;
use crate::cluster::jars::{self, Jars};
use crate::cluster::processes::{self, Daemon};
use crate::command::{command, run, write};
use crate::environment::Paths;

/// The broker's listener for the host.
pub const PORT: u16 = 19092;
const LOGGING: &str = "Configuration:
  status: warn
  Appenders: {Console: {name: C, PatternLayout: {pattern: \"%d %p %c{1} %m%n\"}}}
  Loggers: {Root: {level: warn, AppenderRef: {ref: C}}}
";

pub fn start(paths: &Paths, jars: &Jars) -> Result<()> {
    let home = paths.state.join("kafka");
    std::fs::create_dir_all(&home)?;
    let password = password(&home)?;
    let keys = ["data.key", "data.crt", "data-ca.crt"].map(|file| std::fs::read_to_string(paths.pki().join(file)));
    let keys: String = keys.into_iter().collect::<std::io::Result<_>>()?;
    let (properties, logging) = (home.join("server.properties"), home.join("log4j2.yaml"));
    let mut changed = write(&home.join("server.pem"), &keys)?;
    changed |= write(&properties, &configuration(&home, &password))?;
    write(&logging, LOGGING)?;
    run(command("chmod", ["700"]).arg(&home))?;
    let logging = format!("-Dlog4j2.configurationFile={}", logging.display());
    let java = [logging, "-cp".to_owned(), format!("{}/*", jars.kafka.display())];
    if !home.join("data/meta.properties").exists() {
        format_storage(&home, &java, &password, &properties)?;
    }
    let flags = format!("-Xmx256m -Xms128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 {}", java.join(" "));
    let arguments = format!("{flags} kafka.Kafka {}", properties.display());
    // Runs as root: Java checks permissions with access(2), which ignores capabilities, and fails in a private home
    // folder.
    processes::ensure(paths, &Daemon { changed, ..Daemon::parse("kafka", Path::new("java"), &arguments) })
}

/// Creates the data folder and the SCRAM user. The tool accepts the password only as an argument; an argument file,
/// which Java reads, keeps it out of the process list.
fn format_storage(home: &Path, java: &[String], password: &str, properties: &Path) -> Result<()> {
    // Kafka's cluster id: 16 bytes in base64 without padding. The final A keeps the unused bits of the last digit zero.
    let id = format!("{}A", &jars::password()?[..21]);
    let user = format!("SCRAM-SHA-512=[name={USER},password={password}]");
    let properties = properties.display().to_string();
    let tool = ["kafka.tools.StorageTool", "format", "-t", &id, "--add-scram", &user, "-c", &properties];
    let words = java.iter().map(String::as_str).chain(tool);
    let arguments: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    let file = home.join("format.arguments");
    write(&file, &arguments.join("\n"))?;
    let formatted = run(&mut command("java", [format!("@{}", file.display())]));
    std::fs::remove_file(&file)?;
    formatted
}

fn configuration(home: &Path, password: &str) -> String {
    let home = home.display();
    let modules = "org.apache.kafka.common.security";
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:19093
listeners=PODS://10.244.0.1:19192,SECURE://10.244.0.1:19193,HOST://127.0.0.1:{PORT},CTRL://127.0.0.1:19093
advertised.listeners=PODS://10.244.0.1:19192,SECURE://kafka.data.svc:9093,HOST://127.0.0.1:{PORT}
listener.security.protocol.map=PODS:PLAINTEXT,SECURE:SASL_SSL,HOST:PLAINTEXT,CTRL:PLAINTEXT
inter.broker.listener.name=HOST
controller.listener.names=CTRL
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={home}/server.pem
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.secure.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.secure.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USER}=\"{password}\";
log.dirs={home}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"
    )
}

/// The password of `USER`; generated once per data folder.
fn password(home: &Path) -> Result<String> {
    let file = home.join("agora.password");
    if let Ok(kept) = std::fs::read_to_string(&file) {
        return Ok(kept);
    }
    let made = jars::password()?;
    write(&file, &made)?;
    Ok(made)
}
