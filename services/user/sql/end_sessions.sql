-- Ends the sessions of a user ($1) except one ($2, or null) for a reason ($3), and revokes the access tokens of those that were
-- used within a day, the longest life of an access token, and a minute. A request to change the e-mail address ends too: the
-- reason may be that it is not the user's.
with ended as (
    update auth_session
    set ended_at = now(), end_reason = $3
    where user_id = $1 and id is distinct from $2 and ended_at is null
    returning id, coalesce(used_at, issued_at) as used_at
),
withdrawn as (
    delete from email_change where user_id = $1
)
insert into blocked_auth (auth_session_id)
select id from ended
where used_at > now() - interval '1 day 1 minute'
order by id
on conflict (auth_session_id) do nothing
