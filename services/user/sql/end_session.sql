-- Ends a session ($2) of a user ($1), and revokes its access tokens. No row: the user has no such session, or it has ended.
with ended as (
    update auth_session
    set ended_at = now(), end_reason = 'user'
    where user_id = $1 and id = $2 and ended_at is null and expires_at > now()
    returning id
)
insert into blocked_auth (auth_session_id)
select id from ended
on conflict (auth_session_id) do nothing
returning auth_session_id
