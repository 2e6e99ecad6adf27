//! A member of a JSON merge patch (RFC 7396). No I/O.

use serde::{Deserialize, Serialize};

/// What a patch does with an optional field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Absent: the field does not change.
    #[default]
    Keep,
    /// `null`: the field is removed.
    Remove,
    /// The field is set to this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field is absent.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Applies the patch to an optional field.
    pub(super) fn applied(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The patch with another value.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Remove => Patch::Remove,
            Self::Set(value) => Patch::Set(turn(value)),
        }
    }

    /// The patch with another value; an error of `parse` is returned.
    pub fn parsed<U, E>(self, parse: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Remove => Patch::Remove,
            Self::Set(value) => Patch::Set(parse(value)?),
        })
    }
}

/// Requires `#[serde(skip_serializing_if = "Patch::is_keep")]` on the field, so that [`Patch::Keep`] becomes an absent field.
impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Remove => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

/// Requires `#[serde(default)]` on the field, so that an absent field becomes [`Patch::Keep`].
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}
