//! Use cases of imports: lines in, batches out. Independent of the form of lines.

use agora_vocab::{ImportId, UserId};
use futures::{Stream, StreamExt as _};

use super::{CatalogService, Error};
use crate::{
    domain::{IMPORT_BATCH_LINES, IMPORT_LINES_MAX, ImportCheckpoint, ImportLine, ImportProgress},
    ports::ImportRun,
};

/// Why an import did not come to its end. The lines of the batches before are in.
#[derive(Debug)]
pub enum ImportError<E> {
    /// Another request handles the lines of the import.
    Running,
    /// The lines that are in are others than those of this request.
    OtherLines,
    /// There are more lines than an import may have.
    TooManyLines,
    /// The lines could not be read to their end.
    Lines(E),
    /// A batch could not be written.
    Failed(Error),
}

impl CatalogService {
    /// Writes the products of lines, in batches. Skips lines that are in; the same request, repeated, returns the same totals.
    pub async fn import<E>(
        &self,
        import: ImportId,
        user: UserId,
        lines: impl Stream<Item = Result<ImportLine, E>> + Unpin,
    ) -> Result<ImportProgress, ImportError<E>> {
        let run = ImportRun { import, runner: self.ids.next() };
        let begun = self.store.begin_import(run, user).await.map_err(failed)?;
        let checkpoint = begun.ok_or(ImportError::Running)?;
        let done = self.import_lines(run, &checkpoint, lines).await;
        let ended = self.store.end_import(run, done.is_ok()).await;
        done?;
        ended.map_err(failed)?;
        self.import_progress(import).await.map_err(ImportError::Failed)
    }

    async fn import_lines<E>(
        &self,
        run: ImportRun,
        checkpoint: &ImportCheckpoint,
        mut lines: impl Stream<Item = Result<ImportLine, E>> + Unpin,
    ) -> Result<(), ImportError<E>> {
        let (mut read, mut batch) = (0, Vec::with_capacity(IMPORT_BATCH_LINES));
        while let Some(line) = lines.next().await {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    // What has come is written, so that little is to be sent again.
                    self.write_batch(run, &mut batch).await?;
                    return Err(ImportError::Lines(error));
                }
            };
            read += 1;
            if read <= checkpoint.lines {
                if read == checkpoint.lines && line.digest != checkpoint.digest {
                    return Err(ImportError::OtherLines);
                }
                continue;
            }
            if checkpoint.complete {
                return Err(ImportError::OtherLines);
            }
            if read > IMPORT_LINES_MAX {
                self.write_batch(run, &mut batch).await?;
                return Err(ImportError::TooManyLines);
            }
            batch.push(line);
            if batch.len() == IMPORT_BATCH_LINES {
                self.write_batch(run, &mut batch).await?;
            }
        }
        if read < checkpoint.lines {
            return Err(ImportError::OtherLines);
        }
        self.write_batch(run, &mut batch).await
    }

    /// Writes all lines of a batch and empties it: several transactions if some depend on others.
    async fn write_batch<E>(&self, run: ImportRun, batch: &mut Vec<ImportLine>) -> Result<(), ImportError<E>> {
        while !batch.is_empty() {
            let written = self.store.import_batch(run, batch).await.map_err(failed)?;
            // The first line depends on none, so that each turn writes at least one.
            batch.drain(..written.ok_or(ImportError::Running)?.min(batch.len()));
        }
        Ok(())
    }

    /// Returns the progress of an import, or [`Error::NotFound`].
    pub async fn import_progress(&self, id: ImportId) -> Result<ImportProgress, Error> {
        self.store.import_progress(id).await?.ok_or(Error::NotFound)
    }

    /// Deletes imports that did not change for 7 days. Returns how many were deleted.
    pub async fn sweep_imports(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            match self.store.sweep_imports().await? {
                0 => return Ok(deleted),
                batch => deleted += batch,
            }
        }
    }
}

fn failed<E>(error: crate::ports::StoreError) -> ImportError<E> {
    ImportError::Failed(Error::Store(error))
}
