//! Lines that are not stored yet, by partition and hour. Contains limits and the division into files; must not store anything.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_kafka::{Incoming, Partition};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{place::hour_of, record::Record};

/// Lines of partitions in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    partitions: BTreeMap<Partition, Buffer>,
    bytes: usize,
}

/// Lines of one partition.
#[derive(Debug)]
pub(crate) struct Buffer {
    since: Instant,
    bytes: usize,
    /// The offset that is committed after these lines are stored.
    pub next: i64,
    pub hours: BTreeMap<OffsetDateTime, Lines>,
}

/// Lines of one partition and hour.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: Vec<u8>,
    /// The offset of each line, and the end of its text.
    ends: Vec<(i64, usize)>,
}

/// Lines that follow each other and make a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run<'a> {
    pub first: i64,
    pub last: i64,
    pub text: &'a [u8],
}

impl Buffers {
    /// Appends a message.
    pub fn accept(&mut self, incoming: &Incoming, now: Instant) -> serde_json::Result<()> {
        let (record, time) = Record::of(incoming);
        let line = record.line()?;
        let buffer = self.partitions.entry(incoming.partition).or_insert_with(|| Buffer {
            since: now,
            bytes: 0,
            next: 0,
            hours: BTreeMap::new(),
        });
        let lines = buffer.hours.entry(hour_of(time)).or_default();
        lines.text.extend_from_slice(&line);
        lines.ends.push((incoming.offset, lines.text.len()));
        buffer.next = incoming.offset + 1;
        buffer.bytes += line.len();
        self.bytes += line.len();
        Ok(())
    }

    /// Bytes of all partitions.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Partitions with this many bytes, or whose first line arrived this long ago.
    pub fn due(&self, bytes: usize, age: Duration, now: Instant) -> Vec<Partition> {
        let due = |(_, buffer): &(&Partition, &Buffer)| {
            buffer.bytes >= bytes || now.saturating_duration_since(buffer.since) >= age
        };
        self.partitions.iter().filter(due).map(|(partition, _)| *partition).collect()
    }

    /// The largest partitions, whose removal leaves at most `left` bytes.
    pub fn largest(&self, left: usize) -> Vec<Partition> {
        let mut all: Vec<_> = self.partitions.iter().map(|(partition, buffer)| (buffer.bytes, *partition)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let mut remaining = self.bytes;
        let mut chosen = Vec::new();
        for (bytes, partition) in all {
            if remaining <= left {
                break;
            }
            remaining -= bytes;
            chosen.push(partition);
        }
        chosen
    }

    /// The lines of a partition; they stay until [`Buffers::remove`].
    pub fn of(&self, partition: Partition) -> Option<&Buffer> {
        self.partitions.get(&partition)
    }

    /// Drops the lines of a partition: they are stored, or another member of the group receives them again.
    pub fn remove(&mut self, partition: Partition) {
        if let Some(buffer) = self.partitions.remove(&partition) {
            self.bytes -= buffer.bytes;
        }
    }
}

impl Lines {
    /// The lines that are not within `stored`, divided where lines between them are.
    pub fn runs(&self, stored: &[(i64, i64)]) -> Vec<Run<'_>> {
        let is_stored = |offset: i64| stored.iter().any(|(first, last)| (*first..=*last).contains(&offset));
        let (mut runs, mut open, mut begin) = (Vec::new(), None, 0);
        for (offset, end) in &self.ends {
            match (is_stored(*offset), &mut open) {
                (true, _) => runs.extend(open.take()),
                (false, Some(Run { last, text, .. })) => {
                    *last = *offset;
                    *text = &self.text[begin - text.len()..*end];
                }
                (false, None) => open = Some(Run { first: *offset, last: *offset, text: &self.text[begin..*end] }),
            }
            begin = *end;
        }
        runs.extend(open);
        runs
    }
}

#[cfg(test)]
mod tests {
    use agora_events::topics;

    use super::*;

    const PARTITION: Partition = Partition { topic: topics::ORDER, number: 1 };

    fn message(offset: i64, time: &str) -> Incoming {
        let payload = format!(
            r#"{{"id":"00000000-0000-0000-0000-000000000001","type":"order.paid","version":1,"time":"{time}","key":"k","seq":1,"epoch":0,"data":{{}}}}"#
        );
        Incoming {
            partition: PARTITION,
            offset,
            key: None,
            payload: payload.into_bytes(),
            sent_at_ms: 0,
            headers: vec![],
        }
    }

    fn filled(messages: &[(i64, &str)]) -> Buffers {
        let (mut buffers, now) = (Buffers::default(), Instant::now());
        for (offset, time) in messages {
            buffers.accept(&message(*offset, time), now).unwrap();
        }
        buffers
    }

    #[test]
    fn lines_are_divided_by_the_hour_of_their_event() {
        let mut buffers =
            filled(&[(5, "2026-01-01T05:59:59Z"), (6, "2026-01-01T06:00:00Z"), (7, "2026-01-01T05:00:00Z")]);
        let buffer = buffers.of(PARTITION).unwrap();
        assert_eq!(buffer.next, 8);
        let ranges: Vec<_> = buffer
            .hours
            .iter()
            .map(|(hour, lines)| {
                let runs = lines.runs(&[]);
                (hour.hour(), runs[0].first, runs[0].last, runs[0].text.split(|byte| *byte == b'\n').count() - 1)
            })
            .collect();
        assert_eq!(ranges, [(5, 5, 7, 2), (6, 6, 6, 1)]);
        let bytes: usize = buffer.hours.values().map(|lines| lines.text.len()).sum();
        assert_eq!(buffers.bytes(), bytes);
        let minute = Duration::from_mins(1);
        assert_eq!(buffers.due(bytes, minute, Instant::now()), [PARTITION]);
        assert_eq!(buffers.due(bytes + 1, minute, Instant::now() + minute), [PARTITION]);
        assert!(buffers.due(bytes + 1, minute, Instant::now()).is_empty());
        assert_eq!((buffers.largest(bytes - 1), buffers.largest(bytes)), (vec![PARTITION], Vec::new()));
        buffers.remove(PARTITION);
        assert!(buffers.bytes() == 0 && buffers.of(PARTITION).is_none());
    }

    #[test]
    fn lines_that_are_stored_are_in_no_further_file() {
        let hour = "2026-01-01T05:00:00Z";
        let buffers = filled(&[5, 6, 7, 9, 11].map(|offset| (offset, hour)));
        let lines = buffers.of(PARTITION).unwrap().hours.values().next().unwrap();
        let ranges = |stored: &[(i64, i64)]| -> Vec<(i64, i64, usize)> {
            let count = |run: &Run<'_>| run.text.split(|byte| *byte == b'\n').count() - 1;
            lines.runs(stored).iter().map(|run| (run.first, run.last, count(run))).collect()
        };
        assert_eq!(ranges(&[]), [(5, 11, 5)]);
        assert_eq!(ranges(&[(0, 4), (12, 20)]), [(5, 11, 5)]);
        assert_eq!(ranges(&[(3, 6)]), [(7, 11, 3)]);
        assert_eq!(ranges(&[(7, 8)]), [(5, 6, 2), (9, 11, 2)]);
        assert_eq!(ranges(&[(5, 5), (9, 20)]), [(6, 7, 2)]);
        assert!(ranges(&[(0, 20)]).is_empty());
        let runs = lines.runs(&[(7, 8)]);
        let offsets = |text: &[u8]| -> Vec<i64> {
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| serde_json::from_slice::<Record>(line).unwrap().offset).collect()
        };
        assert_eq!((offsets(runs[0].text), offsets(runs[1].text)), (vec![5, 6], vec![9, 11]));
    }
}
