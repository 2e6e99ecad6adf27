//! What a pass of writes did, as plain data.

use crate::decide::object::Group;
use crate::decide::observed::Trouble;

/// What a pass did.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// What could not be written, by group.
    pub troubles: Vec<(Group, Trouble)>,
    /// Whether something has to be written again at once: somebody else was faster.
    pub again: bool,
    /// How many children were written or deleted.
    pub writes: usize,
}
