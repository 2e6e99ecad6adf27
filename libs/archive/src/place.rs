//! Where the lines of an hour are. Knows paths alone.

use agora_events::{Topic, topics};
use time::{Date, Duration, OffsetDateTime, Time, UtcOffset};

/// End of every path.
const SUFFIX: &str = ".ndjson.zst";

/// A file of the archive: lines of one partition and one hour of the time of their events. It has every line of the hour
/// from `first` to `last`, so that files of the same place have the same lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub topic: Topic,
    /// The first moment of the hour, in UTC.
    pub hour: OffsetDateTime,
    pub partition: i32,
    /// Offset of the first line.
    pub first: i64,
    /// Offset of the last line.
    pub last: i64,
}

impl Place {
    /// Folder and name; folders have the form that analytic databases read as columns.
    pub fn path(&self) -> String {
        let Self { topic, hour, partition, first, last } = self;
        format!("{}/{partition:04}-{first:020}-{last:020}{SUFFIX}", hour_folder(*topic, *hour))
    }

    /// The place of a path that [`Place::path`] made.
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = path.rsplit('/');
        let mut numbers = segments.next()?.strip_suffix(SUFFIX)?.splitn(3, '-');
        let partition = numbers.next()?.parse().ok()?;
        let (first, last) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let hour: u8 = segments.next()?.strip_prefix("hour=")?.parse().ok()?;
        let day = parse_day(segments.next()?)?;
        let topic = topics::named(segments.next()?.strip_prefix("topic=")?)?;
        Some(Self { topic, hour: day.with_hms(hour, 0, 0).ok()?.assume_utc(), partition, first, last })
    }
}

/// The folder of a topic.
pub(crate) fn topic_folder(topic: Topic) -> String {
    format!("topic={topic}")
}

/// The folder of a topic's day.
pub(crate) fn day_folder(topic: Topic, day: Date) -> String {
    let (year, month, day) = day.to_calendar_date();
    format!("{}/date={year:04}-{:02}-{day:02}", topic_folder(topic), u8::from(month))
}

/// The folder of a topic's hour.
pub(crate) fn hour_folder(topic: Topic, hour: OffsetDateTime) -> String {
    format!("{}/hour={:02}", day_folder(topic, hour.date()), hour.hour())
}

/// The day of the last segment of a path, such as `date=2026-11-29`.
pub(crate) fn parse_day(path: &str) -> Option<Date> {
    let mut parts = path.rsplit('/').next()?.strip_prefix("date=")?.splitn(3, '-');
    let (year, month, day) =
        (parts.next()?.parse().ok()?, parts.next()?.parse::<u8>().ok()?, parts.next()?.parse().ok()?);
    Date::from_calendar_date(year, month.try_into().ok()?, day).ok()
}

/// The first moment of the hour of a time.
pub(crate) fn hour_of(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.to_offset(UtcOffset::UTC);
    time.replace_time(Time::MIDNIGHT) + Duration::hours(time.hour().into())
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_path_names_topic_hour_partition_and_offsets_and_reads_back() {
        let hour = datetime!(2026-11-09 07:00 UTC);
        let place = Place { topic: topics::ORDER, hour, partition: 3, first: 42, last: 50 };
        let folder = "topic=order-events/date=2026-11-09/hour=07";
        let path = format!("{folder}/0003-00000000000000000042-00000000000000000050.ndjson.zst");
        assert_eq!(place.path(), path);
        assert_eq!(Place::parse(&format!("shop/{path}")), Some(place));
        for other in [
            "",
            "x",
            "topic=order-events/date=2026-11-09/hour=07/0003-1.ndjson.zst",
            "topic=x/date=2026-11-09/hour=07/1-2-3.ndjson.zst",
            "topic=order-events/date=2026-13-09/hour=07/1-2-3.ndjson.zst",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
        assert_eq!(parse_day(&day_folder(topics::ORDER, date!(2026 - 02 - 03))), Some(date!(2026 - 02 - 03)));
    }

    #[test]
    fn an_hour_is_one_of_utc() {
        assert_eq!(hour_of(datetime!(2026-01-01 00:59:59.999 +02:30)), datetime!(2025-12-31 22:00 UTC));
    }
}
