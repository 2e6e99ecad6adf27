//! Reading an interval of a topic: each message of the archive once, whatever was stored twice. Knows files and offsets alone.

use std::collections::{HashSet, VecDeque};

use agora_events::Topic;
use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{Archive, Error, Record, place::Place};

/// The messages of a topic in an interval, in the order of hour, partition and offset.
#[derive(Debug)]
pub struct Records {
    archive: Archive,
    topic: Topic,
    interval: (OffsetDateTime, OffsetDateTime),
    days: VecDeque<Date>,
    files: VecDeque<Place>,
    /// The hour and partition of the last file, and the offset up to which its lines were returned.
    position: Option<(OffsetDateTime, i32, i64)>,
    /// Events of the hour of the last file: a replay has the topic's events once more, under other offsets.
    seen: HashSet<Uuid>,
}

impl Records {
    pub(crate) async fn open(
        archive: Archive,
        topic: Topic,
        interval: (OffsetDateTime, OffsetDateTime),
    ) -> Result<Self, Error> {
        let days = archive
            .days(topic)
            .await?
            .into_iter()
            .filter(|day| overlaps(interval, day.midnight().assume_utc(), Duration::DAY));
        let days = days.collect();
        Ok(Self { archive, topic, interval, days, files: VecDeque::new(), position: None, seen: HashSet::new() })
    }

    /// The messages of the next file; `None` at the end. A message that is no envelope is returned by its hour.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, Error> {
        let Some(place) = self.next_place().await? else { return Ok(None) };
        let mut records = self.archive.read(&place).await?;
        let at_hour = |(hour, _, _): &(OffsetDateTime, i32, i64)| *hour == place.hour;
        if !self.position.as_ref().is_some_and(at_hour) {
            self.seen.clear();
        }
        let returned =
            self.position.filter(|(hour, partition, _)| (*hour, *partition) == (place.hour, place.partition));
        let returned = returned.map_or(-1, |(_, _, offset)| offset);
        records.retain(|record| record.offset > returned && self.is_new(record));
        self.position = Some((place.hour, place.partition, place.last.max(returned)));
        Ok(Some(records))
    }

    fn is_new(&mut self, record: &Record) -> bool {
        let Some(envelope) = record.envelope() else { return true };
        (self.interval.0..self.interval.1).contains(&envelope.time) && self.seen.insert(envelope.id)
    }

    async fn next_place(&mut self) -> Result<Option<Place>, Error> {
        loop {
            if let Some(place) = self.files.pop_front() {
                return Ok(Some(place));
            }
            let Some(day) = self.days.pop_front() else { return Ok(None) };
            let places = self.archive.places_of_day(self.topic, day).await?;
            self.files =
                places.into_iter().filter(|place| overlaps(self.interval, place.hour, Duration::HOUR)).collect();
        }
    }
}

fn overlaps((from, to): (OffsetDateTime, OffsetDateTime), begin: OffsetDateTime, length: Duration) -> bool {
    begin < to && from < begin.saturating_add(length)
}

#[cfg(test)]
mod tests {
    use agora_events::topics;
    use time::{format_description::well_known::Rfc3339, macros::datetime};

    use super::*;
    use crate::Config;

    const HOUR: OffsetDateTime = datetime!(2026-01-01 05:00 UTC);

    fn line(offset: i64, event: u128, time: OffsetDateTime) -> String {
        let (id, time) = (Uuid::from_u128(event), time.format(&Rfc3339).unwrap());
        let event = format!(
            r#"{{"id":"{id}","type":"order.paid","version":1,"time":"{time}","key":"k","seq":1,"epoch":0,"data":{{}}}}"#
        );
        format!("{{\"topic\":\"order-events\",\"partition\":1,\"offset\":{offset},\"event\":{event}}}\n")
    }

    /// A file of hour `HOUR` and `hours` with these offsets, whose events have the offset as their id.
    async fn put(archive: &Archive, hours: i64, partition: i32, (first, last): (i64, i64)) {
        let hour = HOUR + Duration::hours(hours);
        let place = Place { topic: topics::ORDER, hour, partition, first, last };
        let event = |offset: i64| u128::try_from(offset + i64::from(partition) * 1_000).unwrap();
        let lines: String = (first..=last).map(|offset| line(offset, event(offset), hour)).collect();
        archive.put(&place, lines.as_bytes()).await.unwrap();
    }

    async fn read(archive: &Archive, from: OffsetDateTime, to: OffsetDateTime) -> Vec<i64> {
        let mut records = archive.records(topics::ORDER, from, to).await.unwrap();
        let mut offsets = Vec::new();
        while let Some(next) = records.next().await.unwrap() {
            offsets.extend(next.iter().map(|record| record.offset));
        }
        offsets
    }

    #[tokio::test]
    async fn ms6_an_interval_has_each_message_once() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(&Config::folder(folder.path())).unwrap();
        // Two writers that did not know of each other.
        for range in [(5, 6), (5, 9), (7, 8), (10, 11)] {
            put(&archive, 0, 1, range).await;
        }
        put(&archive, 0, 2, (5, 5)).await;
        put(&archive, 1, 1, (12, 13)).await;
        put(&archive, 24, 1, (14, 14)).await;
        let end = HOUR + Duration::days(2);
        assert_eq!(read(&archive, HOUR, end).await, [5, 6, 7, 8, 9, 10, 11, 5, 12, 13, 14]);
        assert_eq!(read(&archive, HOUR + Duration::SECOND, end).await, [12, 13, 14]);
        assert_eq!(read(&archive, HOUR, HOUR + Duration::HOUR).await, [5, 6, 7, 8, 9, 10, 11, 5]);
        assert!(read(&archive, HOUR + Duration::hours(2), HOUR + Duration::hours(24)).await.is_empty());
        // Event 5 was replayed: the topic has it again, in the hour of its time.
        let place = Place { topic: topics::ORDER, hour: HOUR, partition: 1, first: 20, last: 20 };
        archive.put(&place, line(20, 1_005, HOUR).as_bytes()).await.unwrap();
        assert_eq!(read(&archive, HOUR, HOUR + Duration::HOUR).await, [5, 6, 7, 8, 9, 10, 11, 5]);
    }
}
