//! DuckDB reads the archive as its README says (`AGORA_DUCKDB`: the folder of the Python package `duckdb`).
#![cfg(feature = "duckdb-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::{path::Path, process::Command, time::Duration};

use agora_chassis::{Process, SystemClock, SystemIds};
use agora_events::{
    topics,
    user::{Account, UserEvent},
};
use agora_kafka::{Config, Outgoing, Producer, ensure_topics};
use agora_vocab::{Clock as _, Ids as _, UserId};

const EVENTS: usize = 25;

/// The events of a type by the query of the README; columns of the folders are read, too.
const QUERY: &str = "
import sys, duckdb
rows = duckdb.sql(f\"select event.type, topic, count(*), count(distinct event.id), min(date)::text = max(date)::text \
    from read_json('{sys.argv[1]}/**/*.ndjson.zst', hive_partitioning = true) group by all order by all\").fetchall()
print(rows)
";

fn ask(folder: &Path) -> String {
    let output = Command::new("python3")
        .args(["-c", QUERY, folder.to_str().unwrap()])
        .env("PYTHONPATH", agora_testkit::location("AGORA_DUCKDB"))
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn se3_duckdb_reads_the_archive_by_type() {
    let config = Config::plain(&agora_testkit::kafka().await, "duckdb");
    ensure_topics(&config, &topics::ALL, 2).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive =
        agora_archive::Config { age_max: Duration::from_secs(1), ..agora_archive::Config::folder(folder.path()) };
    let process = Process::for_test("search");
    agora_archive::write(&archive, &config, agora_topology::ARCHIVE_GROUP, &topics::ALL, &process);
    let event = |n: usize| {
        let account =
            Account { user_id: UserId::new(SystemIds.next()), email: format!("u{n}@example.com"), name: None };
        let event = UserEvent::Registered(account);
        let mut envelope = agora_testkit::envelope(SystemIds.next(), n.to_string(), &event);
        envelope.time = SystemClock.now();
        let payload = serde_json::to_vec(&envelope).unwrap();
        Outgoing { topic: topics::USER.name().into(), key: n.to_string(), payload, trace: None }
    };
    Producer::new(&config).send_all(&(0..EVENTS).map(event).collect::<Vec<_>>()).await.unwrap();
    let expected = format!("[('user.registered', 'user-events', {EVENTS}, {EVENTS}, True)]\n");
    let mut answer = String::new();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        answer = ask(folder.path());
        if answer == expected {
            break;
        }
    }
    assert_eq!(answer, expected);
    process.end().await;
}
