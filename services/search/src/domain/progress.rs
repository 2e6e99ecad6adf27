//! Progress of building the index from the catalog.

use time::OffsetDateTime;

/// The newest generation of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its number, from 1.
    pub generation: i32,
    /// Whether it is being built; searches read the generation before.
    pub is_building: bool,
    /// Whether the generation that searches read was built from the catalog; otherwise it contains only what events told.
    pub is_complete: bool,
    /// Products that were read from the catalog so far.
    pub products: u64,
    /// Products of the build before, as an estimate of how many there are; 0 if there was none.
    pub expected: u64,
    pub started_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// When searches began to read it; none while they do not.
    pub completed_at: Option<OffsetDateTime>,
}
