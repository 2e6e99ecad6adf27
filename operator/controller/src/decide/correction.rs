//! A correction of drift, as plain data.

use k8s_openapi::api::core::v1::ObjectReference;

/// Something that was put right.
#[derive(Clone, Debug)]
pub struct Correction {
    /// The thing; another version of it is another correction.
    pub what: ObjectReference,
    /// What was done, and who had changed it.
    pub note: String,
}

impl Correction {
    /// Of something outside the cluster, whole or in part. Corrections of the same part are counted as one series, which
    /// keeps its first note.
    pub fn outside(kind: &str, name: &str, part: Option<&str>, note: String) -> Self {
        let what = ObjectReference {
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            field_path: part.map(str::to_owned),
            ..ObjectReference::default()
        };
        Self { what, note }
    }
}
