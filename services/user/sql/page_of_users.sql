-- Users, newest first: ids are UUIDv7. $1: only before this id. $2: only of this status, or null. $3: limit.
select
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at
from users
where id < $1 and status <> 'erased' and ($2::text is null or status = $2)
order by id desc
limit $3
