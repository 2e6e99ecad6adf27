//! Fields of a body that are not acceptable, all of them together.

use agora_vocab::{Invalid, Patch};
use agora_web::Problem;

/// Collects the invalid fields of a body, so that the response lists all of them.
#[derive(Debug, Default)]
pub(crate) struct InvalidFields(Vec<Invalid>);

impl InvalidFields {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value, or records the error and returns `None`.
    pub(crate) fn take<T>(&mut self, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.0.push(invalid)).ok()
    }

    /// Parses an optional field.
    pub(crate) fn optional<T>(
        &mut self,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        text.and_then(|text| self.take(parse(text)))
    }

    /// A field that `null` cannot remove.
    pub(crate) fn required<T>(&mut self, field: &'static str, patch: Patch<T>) -> Option<T> {
        match patch {
            Patch::Keep => None,
            Patch::Remove => self.take(Err(Invalid::new(field, "cannot be removed"))),
            Patch::Set(value) => Some(value),
        }
    }

    pub(crate) fn into_problem(self) -> Problem {
        self.0
            .into_iter()
            .fold(Problem::unprocessable(), |problem, Invalid { field, message }| problem.field(field, message))
    }
}

/// An optional field that `null` removes.
pub(crate) fn nullable<V, T>(
    invalid_fields: &mut InvalidFields,
    patch: Patch<V>,
    parse: impl FnOnce(V) -> Result<T, Invalid>,
) -> Patch<T> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Remove => Patch::Remove,
        Patch::Set(value) => invalid_fields.take(parse(value)).map_or(Patch::Keep, Patch::Set),
    }
}
