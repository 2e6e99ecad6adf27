//! A bucket that is absent, refuses the login, or does not answer: what is reported, and that no message is lost.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use agora_archive::{Archive, Config, write};
use agora_chassis::{Process, SystemClock, WatchedFile, WatchedSecret};
use agora_events::topics;
use agora_kafka::{Consumer, Producer};
use agora_vocab::Clock as _;

use crate::{
    PATIENCE, broker, reported,
    s3_server::{ACCESS_KEY, S3Server, SECRET_KEY},
    send, until,
};

fn config(port: u16, secret: WatchedSecret) -> Config {
    Config {
        url: "s3://events/shop/main".to_owned(),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        login: Some((ACCESS_KEY.to_owned(), secret)),
        age_max: Duration::from_secs(1),
        ..Config::folder(Path::new("/"))
    }
}

/// The number of archived events of users.
async fn archived(archive: &Archive) -> usize {
    let (from, to) = (SystemClock.now() - time::Duration::hours(4), SystemClock.now() + time::Duration::hours(1));
    let Ok(mut records) = archive.records(topics::USER, from, to).await else { return 0 };
    let mut count = 0;
    while let Ok(Some(next)) = records.next().await {
        count += next.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn se3_a_bucket_that_fails_is_reported_with_a_remedy_and_loses_no_event() {
    let kafka = broker("bucket").await;
    let (folder, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret_file = secrets.path().join("secret");
    std::fs::write(&secret_file, "wrong").unwrap();
    let port = agora_testkit::free_port();
    let config = config(port, WatchedSecret::in_file(WatchedFile::open(&secret_file).unwrap()));
    let (process, producer) = (Process::for_test("search"), Producer::new(&kafka));
    write(&config, &kafka, "archive", &topics::ALL, &process);
    let reports = async |text: &str| {
        let begun = Instant::now();
        loop {
            let reason = reported(&process).unwrap_or_default();
            assert!(!reason.contains("hunter2"), "{reason}");
            if reason.contains(text) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {text}, but {reason:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    reports("check ARCHIVE_ENDPOINT").await;

    send(&producer, 0..10).await;
    let other = Consumer::new(&kafka, "other", &[topics::USER]).unwrap();
    for _ in 0..10 {
        tokio::time::timeout(PATIENCE, other.recv()).await.unwrap().unwrap();
    }

    let server = S3Server::start(folder.path(), port).await;
    reports("rejects the access key: correct the Secret").await;
    std::fs::write(&secret_file, SECRET_KEY).unwrap();
    reports("bucket or folder does not exist: create it").await;
    std::fs::create_dir(folder.path().join("events")).unwrap();
    let archive = Archive::open(&config).unwrap();
    until("the events of the outage are archived", async || archived(&archive).await == 10).await;
    until("nothing is missing", async || reported(&process).is_none()).await;

    drop(server);
    send(&producer, 10..15).await;
    reports("check ARCHIVE_ENDPOINT").await;
    let _server = S3Server::start(folder.path(), port).await;
    until("the events of the second outage are archived", async || archived(&archive).await == 15).await;
    until("nothing is missing", async || reported(&process).is_none()).await;
    assert!(folder.path().join("events/shop/main/topic=user-events").is_dir());
    process.end().await;
}
