-- Ends a session ($1) whose refresh token was used twice, and revokes its access tokens.
with ended as (
    update auth_session
    set ended_at = now(), end_reason = 'reuse'
    where id = $1 and ended_at is null
    returning id
)
insert into blocked_auth (auth_session_id)
select id from ended
on conflict (auth_session_id) do nothing
