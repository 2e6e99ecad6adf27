//! Deletes days that are older than the retention. Must not read files.

use std::{sync::Arc, time::Duration};

use agora_chassis::chain;
use agora_events::Topic;
use agora_vocab::Clock;

use crate::{Archive, Config, Error};

/// Interval between two deletions.
const INTERVAL: Duration = Duration::from_hours(1);

/// Deletes old days at once and every hour, for ever. Any number of replicas may run it.
pub(crate) async fn run(
    config: Config,
    days: u32,
    topics: &'static [Topic],
    clock: Arc<dyn Clock>,
) -> anyhow::Result<()> {
    loop {
        match delete(&Archive::open(&config)?, days, topics, &*clock).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "deleted files of the archive that are older than {days} days"),
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not delete old files of the archive; retrying in an hour");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Deletes the days whose last event is older than so many days. Returns the number of files.
pub(crate) async fn delete(archive: &Archive, days: u32, topics: &[Topic], clock: &dyn Clock) -> Result<usize, Error> {
    let first_kept = clock.now().saturating_sub(time::Duration::days(days.into())).date();
    let mut files = 0;
    for topic in topics {
        for day in archive.days(*topic).await?.into_iter().filter(|day| *day < first_kept) {
            files += archive.delete_day(*topic, day).await?;
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use agora_events::topics;
    use agora_testkit::FixedClock;
    use time::macros::{date, datetime};

    use super::*;
    use crate::place::Place;

    #[tokio::test]
    async fn ms6_days_older_than_the_retention_are_deleted_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(&Config::folder(folder.path())).unwrap();
        for (topic, hour) in [
            (topics::ORDER, datetime!(2026-03-01 23:00 UTC)),
            (topics::ORDER, datetime!(2026-03-02 00:00 UTC)),
            (topics::USER, datetime!(2026-02-01 00:00 UTC)),
        ] {
            archive.put(&Place { topic, hour, partition: 0, first: 0, last: 0 }, b"{}\n").await.unwrap();
        }
        let clock = FixedClock::at(datetime!(2026-03-09 12:00 UTC));
        assert_eq!(delete(&archive, 7, &topics::ALL, &clock).await.unwrap(), 2);
        assert_eq!(archive.days(topics::ORDER).await.unwrap(), [date!(2026 - 03 - 02)]);
        assert!(archive.days(topics::USER).await.unwrap().is_empty());
        assert_eq!(delete(&archive, 7, &topics::ALL, &clock).await.unwrap(), 0);
    }
}
