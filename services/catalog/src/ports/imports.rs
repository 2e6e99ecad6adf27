//! Port of imports of products. Independent of SQL and of the form of lines.

use agora_outbox::StoreError;
use agora_vocab::{ImportId, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{ImportCheckpoint, ImportLine, ImportProgress};

/// An import and the request that handles its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportRun {
    pub import: ImportId,
    /// Identifies the request.
    pub runner: Uuid,
}

/// Imports of products, of which one request at a time handles the lines.
#[async_trait]
pub trait Imports: Send + Sync + std::fmt::Debug {
    /// Begins an import, or continues it for a minute. `None` while another request handles its lines. A complete one can
    /// always be repeated.
    async fn begin_import(&self, run: ImportRun, user: UserId) -> Result<Option<ImportCheckpoint>, StoreError>;

    /// Writes the products of some lines, with their events and the progress of the import: of all lines before the first one
    /// that depends on another one of them. Returns how many; `None` if another request handles the import now.
    async fn import_batch(&self, run: ImportRun, lines: &[ImportLine]) -> Result<Option<usize>, StoreError>;

    /// Ends the request, so that another one can continue the import unless it is complete.
    async fn end_import(&self, run: ImportRun, complete: bool) -> Result<(), StoreError>;

    /// Returns the progress, or `None` if there is no such import.
    async fn import_progress(&self, id: ImportId) -> Result<Option<ImportProgress>, StoreError>;

    /// Deletes one batch of imports that did not change for 7 days. Returns how many were deleted.
    async fn sweep_imports(&self) -> Result<u64, StoreError>;
}
