//! `/admin/users`: the accounts of all users, for support and administrators.

use agora_api::{List, user as wire};
use agora_vocab::{Role, UserId};
use agora_web::{
    Command, Identity, Json, PageQuery, Path, Problem, Query, Routes, Start, decode_cursor, encode_cursor, no_content,
    parse_ids,
};
use axum::{extract::State, http::StatusCode, response::Response};

use super::{caller, dedup_key, user_to_wire};
use crate::{domain::Status, ports::Listing, service::UserService};

pub fn routes() -> Routes<UserService> {
    use wire::routes::{ERASE, LIST_ALL, SET_ROLES, SET_STATUS};
    Routes::new().on(LIST_ALL, list).on(SET_STATUS, set_status).on(SET_ROLES, set_roles).on(ERASE, erase)
}

async fn list(
    State(service): State<UserService>,
    Query(query): Query<wire::UsersQuery>,
) -> Result<Json<List<wire::User>>, Problem> {
    let wire::UsersQuery { ids, status, limit, cursor } = query;
    if let Some(ids) = ids {
        let ids: Vec<UserId> = parse_ids(&ids, status.is_none() && limit.is_none() && cursor.is_none())?;
        let items = service.many(&ids).await?.into_iter().map(user_to_wire).collect();
        return Ok(Json(List { items, total: None, next_cursor: None }));
    }
    let request = PageQuery { limit, cursor, offset: None }.parse()?;
    let before = match &request.start {
        Start::Cursor(cursor) => Some(decode_cursor::<UserId>(cursor)?),
        Start::First | Start::Offset(_) => None,
    };
    let status = status.map(|text| text.parse::<Status>()).transpose().map_err(|invalid| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field(invalid.field, invalid.message)
    })?;
    let page = service.page(&Listing { size: request.size, before, status }).await?;
    let next_cursor = page.next.as_ref().and(page.items.last()).map(|user| encode_cursor(&user.id));
    Ok(Json(List { items: page.items.into_iter().map(user_to_wire).collect(), total: None, next_cursor }))
}

async fn set_status(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<UserId>,
    Command { body, idempotency }: Command<wire::SetStatus>,
) -> Result<Json<wire::User>, Problem> {
    let status = body.status.parse::<Status>()?;
    let dedup_key = dedup_key(identity.user, idempotency);
    let user = service.set_status(&caller(identity), id, status, &dedup_key).await?;
    Ok(Json(user_to_wire(user.into_inner())))
}

async fn set_roles(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<UserId>,
    Command { body, idempotency }: Command<wire::SetRoles>,
) -> Result<Json<wire::User>, Problem> {
    let roles = roles(&body.roles)?;
    let dedup_key = dedup_key(identity.user, idempotency);
    let user = service.set_roles(&caller(identity), id, &roles, &dedup_key).await?;
    Ok(Json(user_to_wire(user.into_inner())))
}

/// The roles of a body, each once, in their order.
fn roles(names: &[String]) -> Result<Vec<Role>, Problem> {
    let unknown = |name: &String| name.parse::<Role>().err();
    if let Some((index, invalid)) = names.iter().enumerate().find_map(|(index, name)| Some((index, unknown(name)?))) {
        return Err(Problem::unprocessable().field(format!("roles[{index}]"), invalid.message));
    }
    let mut roles: Vec<Role> = names.iter().filter_map(|name| name.parse().ok()).collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() {
        return Err(Problem::unprocessable().field("roles", "must name at least one role, such as customer"));
    }
    Ok(roles)
}

/// Needs no `Idempotency-Key`: a repetition changes nothing.
async fn erase(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    service.erase_account(&caller(identity), id).await?;
    Ok(no_content())
}
