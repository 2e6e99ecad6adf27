//! Processes that end without storing, without committing, or in between.

use std::{path::Path, time::Duration};

use agora_archive::{Archive, Config, write};
use agora_chassis::{Process, SystemClock};
use agora_events::topics;
use agora_kafka::{Config as Kafka, Producer};
use agora_vocab::Clock as _;

use crate::{broker, lines, send, until};

fn config(folder: &Path, age: Duration) -> Config {
    Config { age_max: age, ..Config::folder(folder) }
}

/// Messages are there, each once.
fn assert_each_once(folder: &Path, messages: usize) {
    let counts = lines::counts(folder);
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert_eq!((counts.len(), repeated), (messages, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn se3_messages_that_are_received_again_are_not_stored_again() {
    let kafka = broker("again").await;
    let (folder, producer) = (tempfile::tempdir().unwrap(), Producer::new(&kafka));
    let process = Process::for_test("search");
    write(&config(folder.path(), Duration::from_secs(1)), &kafka, "archive", &topics::ALL, &process);
    for wave in 0..4_i64 {
        send(&producer, wave * 40..(wave + 1) * 40).await;
        let archived = usize::try_from((wave + 1) * 40).unwrap();
        until("a wave is archived", async || lines::counts(folder.path()).len() == archived).await;
    }
    process.end().await;
    assert_each_once(folder.path(), 160);
    let files = lines::files(folder.path());

    // A group without committed offsets receives everything again, as after a crash before the commit, and divides it
    // differently.
    let process = Process::for_test("search");
    write(&config(folder.path(), Duration::from_secs(2)), &kafka, "archive-again", &topics::ALL, &process);
    send(&producer, 160..170).await;
    until("the last messages are archived", async || lines::counts(folder.path()).len() == 170).await;
    process.end().await;
    assert_each_once(folder.path(), 170);
    assert!(lines::files(folder.path()) > files);
}

#[tokio::test(flavor = "multi_thread")]
async fn se3_a_process_stores_what_it_received_before_it_ends() {
    let kafka = broker("ends").await;
    let (folder, producer) = (tempfile::tempdir().unwrap(), Producer::new(&kafka));
    send(&producer, 0..10).await;
    let process = Process::for_test("search");
    let hour = config(folder.path(), Duration::from_hours(1));
    write(&hour, &kafka, "archive", &topics::ALL, &process);
    // Nothing says that the messages are received; each attempt begins with those that are left.
    let mut process = process;
    until("the messages are stored at the end", async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.end().await;
        process = Process::for_test("search");
        write(&hour, &kafka, "archive", &topics::ALL, &process);
        lines::counts(folder.path()).len() == 10
    })
    .await;
    process.end().await;
    assert_each_once(folder.path(), 10);
}

#[test]
fn se3_no_message_is_lost_or_repeated_by_crashes() {
    const CRASHES: i64 = 6;
    const MESSAGES: i64 = 30;
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let main = runtime();
    let (kafka, folder) = (main.block_on(broker("crash")), tempfile::tempdir().unwrap());
    let producer = main.block_on(async { Producer::new(&kafka) });
    let start = |kafka: &Kafka| {
        let process = Process::for_test("search");
        let writer = runtime();
        let guard = writer.enter();
        // Everything that has arrived is stored at each look.
        write(&config(folder.path(), Duration::ZERO), kafka, "archive", &topics::ALL, &process);
        drop(guard);
        (writer, process)
    };
    for crash in 0..CRASHES {
        let (writer, _process) = start(&kafka);
        main.block_on(async {
            send(&producer, crash * MESSAGES..(crash + 1) * MESSAGES).await;
            // At other points of receiving and storing each time.
            tokio::time::sleep(Duration::from_millis(200 + 150 * u64::try_from(crash).unwrap())).await;
        });
        writer.shutdown_background();
    }
    let messages = usize::try_from(CRASHES * MESSAGES).unwrap();
    let (writer, process) = start(&kafka);
    main.block_on(until("everything is archived", async || lines::counts(folder.path()).len() == messages));
    writer.block_on(process.end());
    assert_each_once(folder.path(), messages);
    main.block_on(async {
        let archive = Archive::open(&Config::folder(folder.path())).unwrap();
        let (from, to) = (SystemClock.now() - time::Duration::hours(4), SystemClock.now() + time::Duration::hours(1));
        let mut records = archive.records(topics::USER, from, to).await.unwrap();
        let mut read = 0;
        while let Some(next) = records.next().await.unwrap() {
            read += next.len();
        }
        assert_eq!(read, messages);
    });
}
