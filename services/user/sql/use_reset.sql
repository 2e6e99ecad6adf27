-- Uses a request ($1): replaces the password hash of its account by $2. The account's other requests end too. No row: it
-- was used or has expired, or the account is blocked.
with used as (
    update password_reset
    set used_at = now()
    where id = $1 and user_id is not null and used_at is null and expires_at > now()
    returning user_id
),
others as (
    update password_reset as r
    set used_at = now()
    from used as u
    where r.user_id = u.user_id and r.id <> $1 and r.used_at is null
)
update users as a
set password_hash = $2, updated_at = now(), event_seq = a.event_seq + 1
from used as u
where a.id = u.user_id and a.status = 'active'
returning a.id, a.event_seq
