//! Routes of admins: notifications of all users, and the preview of templates. Calls use cases only.

use std::sync::LazyLock;

use agora_api::{List, notification as api};
use agora_outbox::DedupKey;
use agora_web::{Command, Idempotency, Identity, Json, Path, Problem, Query, Routes, created, page_policy};
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::{Api, admin_wire, cursor, public, start};
use crate::{
    domain::{CONTENT_CHARS_MAX, Kind, Priority, SUBJECT_CHARS_MAX, Template},
    service::Draft,
};

/// Largest metadata of a notification, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 4_096;
/// A preview loads nothing and runs nothing; of styles, it has that of all templates of mails alone.
static PREVIEW_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| page_policy(include_str!("../../templates/base.html")));

pub(super) fn routes() -> Routes<Api> {
    use api::routes::{CREATE, LIST_ALL, PREVIEW};
    Routes::new().on(CREATE, create).on(LIST_ALL, list_all).on(PREVIEW, preview)
}

async fn create(
    State(api): State<Api>,
    who: Identity,
    command: Command<api::NewNotification>,
) -> Result<Response, Problem> {
    let dedup_key = match command.idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: who.user.to_string(), key, route, hash },
        None => DedupKey::None,
    };
    let draft = parse(command.body)?;
    let notification = api.service.create(draft, api.clock.now(), &dedup_key).await?.into_inner();
    let location = format!("{}?userId={}", api::routes::LIST_ALL.path, notification.user);
    Ok(created(location, admin_wire(notification)))
}

async fn list_all(
    State(api): State<Api>,
    Query(query): Query<api::NotificationsQuery>,
) -> Result<Json<List<api::Notification>>, Problem> {
    let (filter, request) = public::parse(query)?;
    let mut page = api.service.page(&filter, start(&request)?, request.size).await?;
    page.next = cursor(page.next);
    Ok(Json(page.map(admin_wire).into()))
}

async fn preview(
    State(api): State<Api>,
    Path(template): Path<String>,
    Query(api::PreviewQuery { format }): Query<api::PreviewQuery>,
) -> Result<Response, Problem> {
    let template = Template::parse(&template).map_err(|_| Problem::not_found())?;
    let rendered = api.service.preview(template)?;
    let (kind, body) = match format.as_deref() {
        None | Some("html") => ("text/html; charset=utf-8", rendered.html),
        Some("text") => ("text/plain; charset=utf-8", rendered.text),
        Some(_) => return Err(Problem::unprocessable().field("format", "must be html or text")),
    };
    let kind = HeaderValue::from_static(kind);
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, PREVIEW_POLICY.clone())];
    Ok((headers, body).into_response())
}

/// Parses a body; names every field that is not acceptable.
fn parse(body: api::NewNotification) -> Result<Draft, Problem> {
    let api::NewNotification { user_id, kind, content, subject, priority, metadata } = body;
    let mut problem = Problem::unprocessable();
    let mut invalid = false;
    let mut refuse = |field: &'static str, message: String| {
        invalid = true;
        problem = problem.clone().field(field, message);
    };
    let kind = Kind::parse(&kind).map_err(|error| refuse(error.field, error.message)).ok();
    let priority = priority.map_or(Ok(Priority::Standard), |text| Priority::parse(&text));
    let priority = priority.map_err(|error| refuse(error.field, error.message)).ok();
    if !is_text(&content, CONTENT_CHARS_MAX) {
        refuse("content", format!("must have 1 to {CONTENT_CHARS_MAX} characters"));
    }
    if subject.as_ref().is_some_and(|subject| !is_text(subject, SUBJECT_CHARS_MAX) || subject.contains(['\r', '\n'])) {
        refuse("subject", format!("must be one line of 1 to {SUBJECT_CHARS_MAX} characters"));
    }
    let metadata = metadata.unwrap_or_default();
    let written = serde_json::to_string(&metadata).map_err(Problem::internal)?;
    if written.len() > METADATA_BYTES_MAX || written.contains("\\u0000") {
        refuse("metadata", format!("must be at most {METADATA_BYTES_MAX} bytes of JSON without NUL"));
    }
    match (kind, priority, invalid) {
        (Some(kind), Some(priority), false) => {
            let subject = subject.unwrap_or_else(|| kind.title().to_owned());
            Ok(Draft { user: user_id, kind, priority, subject, text: content, metadata })
        }
        _ => Err(problem),
    }
}

fn is_text(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max && !text.contains('\0')
}
