//! Where the lines of an hour are. Knows paths alone.

use agora_events::{Topic, topics};
use time::{Duration, OffsetDateTime, UtcOffset};

/// End of every path.
const SUFFIX: &str = ".ndjson.zst";

/// A file of the archive: lines of one partition and one hour of the time of their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub topic: Topic,
    /// The first moment of the hour, in UTC.
    pub hour: OffsetDateTime,
    pub partition: i32,
    /// Offset of the first line.
    pub offset: i64,
}

impl Place {
    /// Folder and name; folders have the form that analytic databases read as columns.
    pub fn path(&self) -> String {
        let Self { topic, hour, partition, offset } = self;
        format!("{}/{partition:04}-{offset:020}{SUFFIX}", hour_folder(*topic, *hour))
    }

    /// The place of a path that [`Place::path`] made.
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = path.rsplit('/');
        let (partition, offset) = segments.next()?.strip_suffix(SUFFIX)?.split_once('-')?;
        let hour: u8 = segments.next()?.strip_prefix("hour=")?.parse().ok()?;
        let date = segments.next()?.strip_prefix("date=")?;
        let topic = topics::named(segments.next()?.strip_prefix("topic=")?)?;
        let mut parts = date.splitn(3, '-');
        let (year, month, day) =
            (parts.next()?.parse().ok()?, parts.next()?.parse::<u8>().ok()?, parts.next()?.parse().ok()?);
        let date = time::Date::from_calendar_date(year, month.try_into().ok()?, day).ok()?;
        let hour = date.with_hms(hour, 0, 0).ok()?.assume_utc();
        Some(Self { topic, hour, partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    }
}

/// The folder of a topic's hour.
pub(crate) fn hour_folder(topic: Topic, hour: OffsetDateTime) -> String {
    let (year, month, day) = hour.to_calendar_date();
    format!("topic={topic}/date={year:04}-{:02}-{day:02}/hour={:02}", u8::from(month), hour.hour())
}

/// The first moment of the hour of a time.
pub(crate) fn hour_of(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.to_offset(UtcOffset::UTC);
    time - Duration::minutes(time.minute().into())
        - Duration::seconds(time.second().into())
        - Duration::nanoseconds(time.nanosecond().into())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_path_names_topic_hour_partition_and_offset_and_reads_back() {
        let place = Place { topic: topics::ORDER, hour: datetime!(2026-11-09 07:00 UTC), partition: 3, offset: 42 };
        let path = "topic=order-events/date=2026-11-09/hour=07/0003-00000000000000000042.ndjson.zst";
        assert_eq!(place.path(), path);
        assert_eq!(Place::parse(&format!("shop/{path}")), Some(place));
        for other in [
            "",
            "x",
            "topic=order-events/date=2026-11-09/hour=07/0003.ndjson.zst",
            "topic=x/date=2026-11-09/hour=07/1-2.ndjson.zst",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_hour_is_one_of_utc() {
        assert_eq!(hour_of(datetime!(2026-01-01 00:59:59.999 +02:30)), datetime!(2025-12-31 22:00 UTC));
    }
}
