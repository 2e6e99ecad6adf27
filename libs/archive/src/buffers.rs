//! Lines that are not stored yet, by partition. Contains limits and the division into files; must not store anything.

use std::collections::BTreeMap;

use agora_kafka::{Incoming, Partition};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    place::{Place, hour_of},
    record::Record,
};

/// Lines of partitions in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    partitions: BTreeMap<Partition, Buffer>,
    bytes: usize,
}

#[derive(Debug)]
struct Buffer {
    since: Instant,
    next: i64,
    bytes: usize,
    /// Lines by their hour, with the offset of the first one.
    hours: BTreeMap<OffsetDateTime, (i64, Vec<u8>)>,
}

/// What is stored at once: files, and the offset that is committed after them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub partition: Partition,
    pub next: i64,
    pub files: Vec<(Place, Vec<u8>)>,
}

impl Buffers {
    /// Appends a message.
    pub fn accept(&mut self, incoming: &Incoming, arrival: OffsetDateTime, now: Instant) -> serde_json::Result<()> {
        let (record, time) = Record::of(incoming, arrival);
        let line = record.line()?;
        let buffer = self.partitions.entry(incoming.partition).or_insert_with(|| Buffer {
            since: now,
            next: 0,
            bytes: 0,
            hours: BTreeMap::new(),
        });
        let (_, lines) = buffer.hours.entry(hour_of(time)).or_insert_with(|| (incoming.offset, Vec::new()));
        lines.extend_from_slice(&line);
        buffer.next = incoming.offset + 1;
        buffer.bytes += line.len();
        self.bytes += line.len();
        Ok(())
    }

    /// Bytes of all partitions.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Partitions with this many bytes or with lines from this time or before.
    pub fn due(&self, bytes: usize, since: Instant) -> Vec<Partition> {
        let due = |(_, buffer): &(&Partition, &Buffer)| buffer.bytes >= bytes || buffer.since <= since;
        self.partitions.iter().filter(due).map(|(partition, _)| *partition).collect()
    }

    /// All partitions with lines, the one with the most bytes first.
    pub fn largest_first(&self) -> Vec<Partition> {
        let mut all: Vec<_> = self.partitions.iter().map(|(partition, buffer)| (buffer.bytes, *partition)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, partition)| partition).collect()
    }

    /// The files of a partition; they stay until [`Buffers::remove`].
    pub fn batch(&self, partition: Partition) -> Option<Batch> {
        let buffer = self.partitions.get(&partition)?;
        let file = |(hour, (offset, lines)): (&OffsetDateTime, &(i64, Vec<u8>))| {
            let place = Place { topic: partition.topic, hour: *hour, partition: partition.number, offset: *offset };
            (place, lines.clone())
        };
        Some(Batch { partition, next: buffer.next, files: buffer.hours.iter().map(file).collect() })
    }

    /// Drops the lines of a partition: they are stored, or another member of the group receives them again.
    pub fn remove(&mut self, partition: Partition) {
        if let Some(buffer) = self.partitions.remove(&partition) {
            self.bytes -= buffer.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agora_events::topics;
    use time::macros::datetime;

    use super::*;

    const PARTITION: Partition = Partition { topic: topics::ORDER, number: 1 };

    fn message(offset: i64, time: &str) -> Incoming {
        let payload = format!(
            r#"{{"id":"00000000-0000-0000-0000-000000000001","type":"order.paid","version":1,"time":"{time}","key":"k","seq":1,"epoch":0,"data":{{}}}}"#
        );
        Incoming { partition: PARTITION, offset, key: None, payload: payload.into_bytes() }
    }

    #[test]
    fn a_batch_has_a_file_for_each_hour_named_by_its_first_offset() {
        let (mut buffers, now) = (Buffers::default(), Instant::now());
        for (offset, time) in [(5, "2026-01-01T05:59:59Z"), (6, "2026-01-01T06:00:00Z"), (7, "2026-01-01T05:00:00Z")] {
            buffers.accept(&message(offset, time), datetime!(2026-01-02 00:00 UTC), now).unwrap();
        }
        let Batch { next, files, .. } = buffers.batch(PARTITION).unwrap();
        assert_eq!(next, 8);
        let found: Vec<_> = files
            .iter()
            .map(|(place, lines)| (place.hour.hour(), place.offset, lines.split(|byte| *byte == b'\n').count() - 1))
            .collect();
        assert_eq!(found, [(5, 5, 2), (6, 6, 1)]);
        let bytes: usize = files.iter().map(|(_, lines)| lines.len()).sum();
        assert_eq!(buffers.bytes(), bytes);
        assert_eq!(buffers.due(bytes, now - Duration::from_secs(1)), [PARTITION]);
        assert_eq!(buffers.due(bytes + 1, now), [PARTITION]);
        assert!(buffers.due(bytes + 1, now - Duration::from_secs(1)).is_empty());
        buffers.remove(PARTITION);
        assert_eq!((buffers.bytes(), buffers.batch(PARTITION)), (0, None));
    }
}
