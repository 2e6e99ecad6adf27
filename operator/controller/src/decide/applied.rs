//! The result of applying the desired state once, as plain data.

use crate::decide::object::Group;
use crate::decide::observed::ConditionError;

#[derive(Clone, Debug, Default)]
pub struct Applied {
    pub errors: Vec<(Group, ConditionError)>,
    /// Whether another client was faster, so that the observed state is out of date and has to be read again.
    pub retry: bool,
    /// Number of children that were written or deleted.
    pub writes: usize,
}
