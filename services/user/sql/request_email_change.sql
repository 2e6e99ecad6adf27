-- Stores a request ($3) of a user ($1), whose password hash is $2, to change the e-mail address to $4; it is valid for $6 seconds.
-- A session ($5) sends it. Replaces an earlier request of the user. No row: the password was changed, or the account is not active.
with account as (
    update users
    set event_seq = event_seq + 1
    where id = $1 and password_hash = $2 and status = 'active'
    returning id, email, event_seq
),
requested as (
    insert into email_change as c (id, user_id, new_email, auth_session_id, expires_at)
    select $3, a.id, $4, $5, now() + $6::float8 * interval '1 second'
    from account as a
    on conflict on constraint email_change_user_key do update
        set id = excluded.id, new_email = excluded.new_email, auth_session_id = excluded.auth_session_id,
            requested_at = now(), expires_at = excluded.expires_at
    returning c.user_id, c.expires_at
)
select a.email, a.event_seq, r.expires_at
from account as a
join requested as r on r.user_id = a.id
