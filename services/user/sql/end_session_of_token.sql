-- Ends the session of a refresh token, given its digest ($1), and revokes its access tokens.
with ended as (
    update auth_session as s
    set ended_at = now(), end_reason = 'logout'
    from refresh_token as t
    where t.digest = $1 and s.id = t.session_id and s.ended_at is null
    returning s.id
)
insert into blocked_auth (auth_session_id)
select id from ended
on conflict (auth_session_id) do nothing
