//! A throwaway Kafka: one broker in KRaft mode per test process.
//!
//! Knows how to run a broker; must not know topics: they are made by who needs them.

use std::{path::Path, sync::OnceLock};

use crate::server::{Server, folder, free_port, location, run_as_data_user};

const LOG_CONFIG: &str = "Configuration: {status: warn, Appenders: {Console: {name: C, PatternLayout: {pattern: '%d %p %c{1} %m%n'}}}, Loggers: {Root: {level: warn, AppenderRef: {ref: C}}}}";

/// A broker of one's own: for tests that stop it.
#[derive(Debug)]
pub struct KafkaServer {
    server: Server,
    controller: u16,
}

/// The broker that is also the controller of its cluster.
const FIRST_NODE: u32 = 1;

impl KafkaServer {
    /// Starts a broker (`AGORA_KAFKA_LIB`, and `java` in the path).
    pub fn start() -> Self {
        Self::start_node(FIRST_NODE, free_port())
    }

    /// Starts one more broker of the same cluster, with number 2.
    #[must_use = "dropped, it ends"]
    pub fn start_second(&self) -> Self {
        Self::start_node(FIRST_NODE + 1, self.controller)
    }

    fn start_node(node: u32, controller: u16) -> Self {
        let lib = location("AGORA_KAFKA_LIB");
        let folder = folder("kafka");
        let port = free_port();
        let file = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        std::fs::write(file("log4j2.yaml"), LOG_CONFIG).expect("writing log4j2.yaml");
        std::fs::write(file("server.properties"), properties(folder.path(), node, port, controller))
            .expect("writing the settings");
        let java: Vec<String> = [
            "java",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            &format!("-Dlog4j2.configurationFile={}", file("log4j2.yaml")),
            "-cp",
            &format!("{}/*", readable(&lib, folder.path())),
        ]
        .map(str::to_owned)
        .into();
        let settings = file("server.properties");
        let cluster = cluster_id(controller);
        let format = ["kafka.tools.StorageTool", "format", "-t", &cluster, "-c", &settings];
        run_as_data_user(&java.iter().map(String::as_str).chain(format).collect::<Vec<_>>());
        let command = [java, vec!["kafka.Kafka".into(), settings]].concat();
        let server = Server::new(folder, port, &command);
        server.start();
        Self { server, controller }
    }

    /// What `bootstrap.servers` is.
    pub fn brokers(&self) -> String {
        self.server.address().to_string()
    }

    /// Kills the broker.
    pub fn stop(&self) {
        self.server.kill();
    }

    /// Starts it again on the same data and the same port.
    pub fn resume(&self) {
        self.server.start();
    }

    /// Freezes it: connections are accepted, and nothing is answered.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self) {
        self.server.thaw();
    }
}

/// An identity of 16 bytes in Base64, as Kafka requires, that no other running cluster of the machine has.
fn cluster_id(controller: u16) -> String {
    format!("agora-cluster-{controller:05}-AA")
}

/// The bootstrap servers of the test process's broker, which makes no topic by itself.
pub async fn kafka() -> String {
    static SERVER: OnceLock<KafkaServer> = OnceLock::new();
    SERVER.get_or_init(KafkaServer::start).brokers()
}

/// Sets a topic's setting, such as `max.message.bytes=300`, as an administrator does.
pub fn configure_topic(brokers: &str, topic: &str, setting: &str) {
    let place = ["--alter", "--entity-type", "topics", "--entity-name", topic];
    admin_tool("kafka.admin.ConfigCommand", brokers, &[&place[..], &["--add-config", setting]].concat());
}

/// Creates a topic whose partitions each have one replica: on the brokers of these numbers, such as `1,2`.
pub fn place_topic(brokers: &str, topic: &str, replicas: &str) {
    let create = ["--create", "--topic", topic, "--replica-assignment", replicas];
    admin_tool("org.apache.kafka.tools.TopicCommand", brokers, &create);
}

fn admin_tool(class: &str, brokers: &str, arguments: &[&str]) {
    let jars = format!("{}/*", location("AGORA_KAFKA_LIB").display());
    let output = std::process::Command::new("java")
        .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &jars, class])
        .args(["--bootstrap-server", brokers])
        .args(arguments)
        .output()
        .expect("java runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The jars may lie where only root may enter, and the broker does not run as root.
fn readable(lib: &Path, folder: &Path) -> String {
    let copy = folder.join("lib");
    std::fs::create_dir(&copy).expect("making a folder");
    for jar in std::fs::read_dir(lib).unwrap_or_else(|error| panic!("{}: {error}", lib.display())) {
        let jar = jar.expect("reading a folder").path();
        let target = copy.join(jar.file_name().expect("a file"));
        if std::fs::hard_link(&jar, &target).is_err() {
            std::fs::copy(&jar, &target).expect("copying a jar");
        }
    }
    copy.to_str().expect("UTF-8").to_owned()
}

fn properties(folder: &Path, node: u32, port: u16, controller: u16) -> String {
    let (roles, controller_listener) = if node == FIRST_NODE {
        ("broker,controller", format!(",CTRL://127.0.0.1:{controller}"))
    } else {
        ("broker", String::new())
    };
    format!(
        "process.roles={roles}\n\
         node.id={node}\n\
         controller.quorum.voters={FIRST_NODE}@127.0.0.1:{controller}\n\
         listeners=HOST://127.0.0.1:{port}{controller_listener}\n\
         advertised.listeners=HOST://127.0.0.1:{port}\n\
         listener.security.protocol.map=HOST:PLAINTEXT,CTRL:PLAINTEXT\n\
         inter.broker.listener.name=HOST\n\
         controller.listener.names=CTRL\n\
         log.dirs={}/data\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n",
        folder.display()
    )
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use super::*;

    #[test]
    fn a_broker_comes_back_on_the_same_port() {
        let server = KafkaServer::start();
        let brokers = server.brokers();
        server.stop();
        assert!(std::net::TcpStream::connect(&brokers).is_err());
        server.resume();
        assert_eq!(server.brokers(), brokers);
    }
}
