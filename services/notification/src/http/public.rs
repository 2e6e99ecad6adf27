//! Routes of users: their notifications, and the picture in tracked mails. Calls use cases only.

use agora_api::{List, notification as api};
use agora_vocab::{Invalid, NotificationId};
use agora_web::{Identity, Json, PageQuery, PageRequest, Path, Problem, Query, Routes};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use uuid::Uuid;

use super::{Api, cursor, start, wire};
use crate::{
    domain::{Kind, Priority},
    ports::Filter,
};

/// Notifications that one request marks at most.
const MARKED_MAX: usize = 100;
/// Longest text of a search, in bytes.
const WORDS_BYTES_MAX: usize = 200;

/// A transparent picture of one pixel.
const GIF: &[u8] = &[
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
    0x21, 0xf9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x02,
    0x01, 0x44, 0x00, 0x3b,
];

pub(super) fn routes() -> Routes<Api> {
    use api::routes::{LIST, MARK, MARK_MANY, TRACK};
    Routes::new().on(LIST, list).on(MARK_MANY, mark_many).on(MARK, mark).on(TRACK, track)
}

/// Which notifications a list contains, and which page of them.
pub(super) fn parse(query: api::NotificationsQuery) -> Result<(Filter, PageRequest), Problem> {
    let api::NotificationsQuery { user_id, kind, priority, read, q, limit, cursor, offset, page } = query;
    let mut request = PageQuery { limit, cursor, offset }.parse()?;
    if let Some(page) = page {
        request = numbered(&request, &page)?;
    }
    let words = q.map(|words| words.trim().to_owned()).filter(|words| !words.is_empty());
    if words.as_ref().is_some_and(|words| words.len() > WORDS_BYTES_MAX || words.contains('\0')) {
        return Err(Problem::unprocessable().field("q", format!("must be text of at most {WORDS_BYTES_MAX} bytes")));
    }
    let kind = kind.map(|kind| Kind::parse(&kind)).transpose()?;
    let priority = priority.map(|priority| Priority::parse(&priority)).transpose()?;
    Ok((Filter { user: user_id, kind, priority, read, words }, request))
}

/// The page of that number.
fn numbered(request: &PageRequest, page: &str) -> Result<PageRequest, Problem> {
    if request.start != agora_web::Start::First {
        return Err(Problem::unprocessable().field("page", "cannot stand beside cursor or offset"));
    }
    let wrong = || Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field("page", "must be a whole number");
    let number: i64 = page.parse().map_err(|_| wrong())?;
    let from_one = || Problem::unprocessable().field("page", "must be at least 1");
    let offset = number.checked_sub(1).filter(|before| *before >= 0).ok_or_else(from_one)?;
    let offset = offset.saturating_mul(i64::from(request.size.get())).to_string();
    PageQuery { limit: Some(request.size.get().to_string()), cursor: None, offset: Some(offset) }.parse()
}

async fn list(
    State(api): State<Api>,
    who: Identity,
    Query(query): Query<api::NotificationsQuery>,
) -> Result<Json<List<api::Notification>>, Problem> {
    if query.user_id.is_some() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field("userId", "is not known here"));
    }
    let (filter, request) = parse(query)?;
    let filter = Filter { user: Some(who.user), ..filter };
    let mut page = api.service.page(&filter, start(&request)?, request.size).await?;
    page.next = cursor(page.next);
    Ok(Json(page.map(wire).into()))
}

async fn mark(
    State(api): State<Api>,
    who: Identity,
    Path(id): Path<NotificationId>,
) -> Result<Json<api::Notification>, Problem> {
    Ok(Json(wire(api.service.mark_read(who.user, id).await?)))
}

async fn mark_many(
    State(api): State<Api>,
    who: Identity,
    Json(body): Json<api::MarkRead>,
) -> Result<Json<api::MarkedRead>, Problem> {
    let api::MarkRead { priority, notification_ids } = body;
    let priority = priority.map(|priority| Priority::parse(&priority)).transpose()?;
    if notification_ids.as_ref().is_some_and(|ids| ids.len() > MARKED_MAX) {
        return Err(Invalid::new("notificationIds", format!("must be at most {MARKED_MAX}")).into());
    }
    let updated_count = api.service.mark_many(who.user, priority, notification_ids.as_deref()).await?;
    Ok(Json(api::MarkedRead { updated_count }))
}

/// Always the picture: whether a mail is known must not show. Without a store it is not noticed.
async fn track(State(api): State<Api>, Path(id): Path<String>) -> Response {
    if let Ok(tracking) = id.parse::<Uuid>()
        && let Err(error) = api.service.opened(tracking).await
    {
        tracing::warn!(error = agora_chassis::chain(&error), "could not note that a mail was opened");
    }
    ([(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")], GIF).into_response()
}
