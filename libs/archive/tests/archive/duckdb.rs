//! DuckDB reads the archive as the README says (`AGORA_DUCKDB`: the folder of the Python package `duckdb`).

use std::{path::Path, process::Command, time::Duration};

use agora_archive::{Config, write};
use agora_chassis::Process;
use agora_events::topics;
use agora_kafka::Producer;

use crate::{broker, lines, send, until};

const EVENTS: i64 = 25;
/// Runs the query of the README in the folder of the archive.
const PROGRAM: &str = "import duckdb, os, sys; os.chdir(sys.argv[1]); print(duckdb.sql(sys.argv[2]).fetchall())";

/// The query of the README, as a user copies it.
fn query() -> String {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("-- DuckDB\n").unwrap();
    after.split_once("```").unwrap().0.trim().trim_end_matches(';').to_owned()
}

fn ask(folder: &Path, query: &str) -> String {
    let output = Command::new("python3")
        .args(["-c", PROGRAM, folder.to_str().unwrap(), query])
        .env("PYTHONPATH", agora_testkit::location("AGORA_DUCKDB"))
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn se3_duckdb_reads_the_archive_by_type() {
    let kafka = broker("duckdb").await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let config = Config { age_max: Duration::from_secs(1), ..Config::folder(&archive) };
    let process = Process::for_test("search");
    write(&config, &kafka, "archive", &topics::ALL, &process);
    send(&Producer::new(&kafka), 0..EVENTS).await;
    let all = usize::try_from(EVENTS).unwrap();
    until("every event is archived", async || lines::counts(&archive).len() == all).await;
    process.end().await;
    assert_eq!(ask(folder.path(), &query()), format!("[('user.registered', {EVENTS})]\n"));
    let by_folder = "select topic, count(*), count(distinct date::text || hour::text) from \
        read_json('archive/**/*.ndjson.zst', hive_partitioning = true) group by all";
    assert_eq!(ask(folder.path(), by_folder), format!("[('user-events', {EVENTS}, 3)]\n"));
}
