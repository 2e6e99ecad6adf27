//! A correction of drift, as plain data.

use k8s_openapi::api::core::v1::ObjectReference;

/// A change that the operator made to an object: a correction of another client's change, or the creation of a data server's
/// object.
#[derive(Clone, Debug)]
pub struct Correction {
    /// Corrections of one object in one resource version are counted as one series of events, which keeps its first note.
    pub object: ObjectReference,
    pub severity: Severity,
    /// What was done, and which client made it necessary.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The object did not exist before, and was created for the spec.
    Provisioned,
    /// The object is as before.
    Reverted,
    /// The object was created again without the data that it held.
    DataLoss,
    /// The logins on a former server were locked.
    Released,
    /// The logins on a former server could not be locked.
    LeftOpen,
}

impl Correction {
    /// For an object outside the cluster, or one part of it.
    pub fn external(kind: &str, name: &str, part: Option<&str>, severity: Severity, note: String) -> Self {
        let object = ObjectReference {
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            field_path: part.map(str::to_owned),
            ..ObjectReference::default()
        };
        Self { object, severity, note }
    }
}
