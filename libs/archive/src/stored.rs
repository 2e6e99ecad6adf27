//! Which lines are stored already: by this process, or by one that ended before it committed their offsets.

use std::collections::BTreeMap;

use agora_kafka::Partition;
use time::OffsetDateTime;

use crate::{Archive, Error};

/// Hours of a partition that are kept in memory; the archive is asked again for another one.
const HOURS_MAX: usize = 4;

/// First and last offset of each stored file.
type Ranges = Vec<(i64, i64)>;

/// The files of partitions and hours, read from the archive once.
#[derive(Debug, Default)]
pub(crate) struct Stored(BTreeMap<Partition, BTreeMap<OffsetDateTime, Ranges>>);

impl Stored {
    /// The stored files of a partition and an hour.
    pub async fn ranges(
        &mut self,
        archive: &Archive,
        partition: Partition,
        hour: OffsetDateTime,
    ) -> Result<&mut Ranges, Error> {
        let hours = self.0.entry(partition).or_default();
        if !hours.contains_key(&hour) {
            let found = archive.ranges(partition, hour).await?;
            while hours.len() >= HOURS_MAX {
                hours.pop_first();
            }
            hours.insert(hour, found);
        }
        Ok(hours.entry(hour).or_default())
    }

    /// The archive is asked again: another process may store lines of the partition, or whether a file was stored is not known.
    pub fn forget(&mut self, partition: Partition) {
        self.0.remove(&partition);
    }
}
