//! What happens to a child. A child without an entry stays unchanged, so that an omission does not delete anything.

#[derive(Clone, Debug, PartialEq)]
pub enum Maybe<T> {
    /// It is created, updated or corrected.
    Want(T),
    /// An existing one is neither changed nor deleted, and a missing one is not created.
    Hold,
    /// An existing one is deleted.
    Gone,
}

impl<T> Maybe<T> {
    /// Holds what is desired. What is to be deleted is deleted anyway.
    #[must_use]
    pub fn held(self) -> Self {
        match self {
            Self::Want(_) | Self::Hold => Self::Hold,
            Self::Gone => Self::Gone,
        }
    }
}

impl<T> From<Option<T>> for Maybe<T> {
    /// `None` means that the spec excludes the child.
    fn from(desired: Option<T>) -> Self {
        desired.map_or(Self::Gone, Self::Want)
    }
}

#[cfg(test)]
mod tests {
    use super::Maybe;

    #[test]
    fn holding_does_not_keep_what_is_to_be_deleted() {
        assert_eq!(Maybe::Want(1).held(), Maybe::Hold);
        assert_eq!(Maybe::<i32>::Gone.held(), Maybe::Gone);
    }
}
