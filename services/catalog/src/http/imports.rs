//! Public routes for imports and exports of products: bodies that are read and written as they come. Independent of SQL.

use std::time::Duration;

use agora_api::catalog as api;
use agora_vocab::{ImportId, ProductId};
use agora_web::{BodyFault, Identity, Json, Path, Problem, Query, Routes};
use aws_lc_rs::digest::{Context, SHA256};
use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use http::{HeaderValue, StatusCode, header};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    product_lines::{LineForm, LineParser},
    records::{Record, Splitter},
};
use crate::{
    domain::{Exported, IMPORT_LINES_MAX, ImportFault, ImportLine, ImportProgress},
    service::{CatalogService, Error, ImportError},
};

/// Time for which an import reads lines, and an export writes them: less than a request may take.
const TIME_MAX: Duration = Duration::from_secs(45);

#[derive(Clone, Debug)]
pub(super) struct Imports {
    pub catalog: CatalogService,
    pub shutdown: CancellationToken,
}

pub(super) fn routes(imports: Imports) -> Routes {
    use api::routes::{EXPORT_PRODUCTS, IMPORT, READ_IMPORT};
    Routes::new().on(EXPORT_PRODUCTS, export).on(IMPORT, import).on(READ_IMPORT, progress).with_state(imports)
}

async fn export(
    State(Imports { catalog, .. }): State<Imports>,
    Query(api::ProductExportQuery { format, after }): Query<api::ProductExportQuery>,
) -> Result<Response, Problem> {
    let form = LineForm::parse(format.as_deref())?;
    // The first page is read before the answer begins, so that a failure has a status.
    let first = catalog.export(after).await?;
    let export = Export { catalog, form, page: Some(first), after, begun: false, ends: Instant::now() + TIME_MAX };
    let lines = stream::try_unfold(export, Export::step);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(form.content_type())),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(form.disposition())),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// An export whose client reads it page by page; nothing is read when the client has left.
struct Export {
    catalog: CatalogService,
    form: LineForm,
    /// The first page; later ones are read when they are needed.
    page: Option<Vec<Exported>>,
    /// The product before the next page.
    after: Option<ProductId>,
    begun: bool,
    ends: Instant,
}

/// An export took too long; its client continues after the last line.
#[derive(Debug, thiserror::Error)]
#[error("the export did not end within {} s", TIME_MAX.as_secs())]
struct TooLong;

/// Why an export breaks off.
type Broken = Box<dyn std::error::Error + Send + Sync>;

impl Export {
    /// The lines of the next page; `None` at the end.
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, Broken> {
        if Instant::now() >= self.ends {
            return Err(TooLong.into());
        }
        let page = match self.page.take() {
            Some(page) => page,
            None => self.catalog.export(self.after).await?,
        };
        let last = page.last().map(|exported| exported.listed.product.id);
        if last.is_none() && self.begun {
            return Ok(None);
        }
        let lines = self.form.write(page, !self.begun).map_err(|problem| problem.code().to_owned())?;
        (self.after, self.begun) = (last.or(self.after), true);
        Ok(Some((lines.into(), self)))
    }
}

async fn import(
    State(Imports { catalog, shutdown }): State<Imports>,
    Query(api::ImportQuery { format, import_id }): Query<api::ImportQuery>,
    who: Identity,
    request: Request,
) -> Result<Json<api::Import>, Problem> {
    let form = LineForm::parse(format.as_deref())?;
    let id = import_id.ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY")
            .field("importId", "is required: a new UUID, the same one in each repetition")
    })?;
    let lines = Box::pin(stream::unfold(Some(Lines::of(request.into_body(), form, shutdown)), Lines::step));
    let progress =
        catalog.import(id, who.user, lines).await.map_err(|error| refused(error).extra("importId", id.to_string()))?;
    Ok(Json(to_wire(id, progress)))
}

async fn progress(
    State(Imports { catalog, .. }): State<Imports>,
    Path(id): Path<ImportId>,
) -> Result<Json<api::Import>, Problem> {
    Ok(Json(to_wire(id, catalog.import_progress(id).await?)))
}

fn refused(error: ImportError<Problem>) -> Problem {
    match error {
        ImportError::Running => Problem::new(StatusCode::CONFLICT, "IMPORT_IN_PROGRESS")
            .detail("another request sends the lines of this import: wait for it, or a minute after it broke off")
            .retry_after(5),
        ImportError::OtherLines => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IMPORT_ID_REUSED")
            .detail("this import began with other lines: use a new importId"),
        ImportError::TooManyLines => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_LINES")
            .detail(format!("the first {IMPORT_LINES_MAX} lines are in: send the others as another import")),
        ImportError::Lines(problem) => problem,
        ImportError::Failed(error) => Error::into(error),
    }
}

fn unfinished(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "IMPORT_UNFINISHED")
        .detail(format!("{detail}: send the same lines with the same importId to continue"))
        .retry_after(1)
}

fn to_wire(id: ImportId, progress: ImportProgress) -> api::Import {
    let ImportProgress { state, lines, tally, faults, started_at, changed_at } = progress;
    let error = |ImportFault { line, reason }| api::ImportFault { line, reason };
    api::Import {
        id,
        state: state.as_str().to_owned(),
        lines,
        created: tally.created,
        updated: tally.updated,
        unchanged: tally.unchanged,
        failed: tally.failed,
        errors: faults.into_iter().map(error).collect(),
        started_at,
        updated_at: changed_at,
    }
}

/// The lines of a body, read as they arrive.
struct Lines {
    body: BodyDataStream,
    /// What has arrived and was not read.
    chunk: Bytes,
    ended: bool,
    splitter: Splitter,
    parser: LineParser,
    digest: Vec<u8>,
    ends: Instant,
    shutdown: CancellationToken,
}

impl Lines {
    fn of(body: Body, form: LineForm, shutdown: CancellationToken) -> Self {
        Self {
            body: body.into_data_stream(),
            chunk: Bytes::new(),
            ended: false,
            splitter: Splitter::new(form == LineForm::Csv),
            parser: LineParser::new(form),
            digest: Vec::new(),
            ends: Instant::now() + TIME_MAX,
            shutdown,
        }
    }

    /// The next line. A problem is the last item.
    async fn step(lines: Option<Self>) -> Option<(Result<ImportLine, Problem>, Option<Self>)> {
        let mut lines = lines?;
        match lines.next().await {
            Ok(line) => Some((Ok(line?), Some(lines))),
            Err(problem) => Some((Err(problem), None)),
        }
    }

    async fn next(&mut self) -> Result<Option<ImportLine>, Problem> {
        loop {
            let record = match self.splitter.next(&mut self.chunk) {
                None if self.ended => return Ok(None),
                None => self.arrive().await?,
                found => found,
            };
            if let Some(record) = record
                && let Some(line) = self.line(&record)?
            {
                return Ok(Some(line));
            }
            if Instant::now() >= self.ends {
                return Err(unfinished("the time of a request is over"));
            }
        }
    }

    /// Waits for more of the body; returns the last record at its end.
    async fn arrive(&mut self) -> Result<Option<Record>, Problem> {
        let chunk = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(unfinished("the service is stopping")),
            chunk = tokio::time::timeout_at(self.ends, self.body.next()) => chunk,
        };
        match chunk {
            Ok(Some(Ok(chunk))) => self.chunk = chunk,
            Ok(Some(Err(error))) => return Err(BodyFault::of(&error).into()),
            Ok(None) => {
                self.ended = true;
                return Ok(self.splitter.finish());
            }
            Err(_) => return Err(unfinished("the time of a request is over")),
        }
        Ok(None)
    }

    fn line(&mut self, record: &Record) -> Result<Option<ImportLine>, Problem> {
        let Some(product) = self.parser.parse(record)? else { return Ok(None) };
        let mut digest = Context::new(&SHA256);
        digest.update(&self.digest);
        digest.update(record.text.as_deref().unwrap_or_default());
        digest.finish().as_ref().clone_into(&mut self.digest);
        Ok(Some(ImportLine { number: record.line, digest: self.digest.clone(), product }))
    }
}
