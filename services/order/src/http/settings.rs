//! What the routes of settings that administrators manage have in common: lists, and invalid fields. No use cases.

use agora_api::List;
use agora_vocab::Page;
use agora_web::{Problem, encode_cursor};

use crate::{domain::FieldError, service::Error};

/// The page as a list whose cursor is opaque.
pub(super) fn page<T, U>(page: Page<T>, wire: impl FnMut(T) -> U) -> List<U> {
    let mut page = page.map(wire);
    page.next = page.next.map(|code| encode_cursor(&code));
    page.into()
}

/// Collects invalid fields.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<FieldError>);

impl Fields {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value, or records the error and returns `None`.
    pub(super) fn take<T>(&mut self, parsed: Result<T, FieldError>) -> Option<T> {
        parsed.map_err(|wrong| self.0.push(wrong)).ok()
    }

    /// Like [`take`](Self::take), for several errors.
    pub(super) fn take_all<T>(&mut self, parsed: Result<T, Vec<FieldError>>) -> Option<T> {
        parsed.map_err(|wrong| self.0.extend(wrong)).ok()
    }

    pub(super) fn into_problem(self) -> Problem {
        Error::Invalid(self.0).into()
    }
}
