-- Ends the sessions of a user ($1) except one ($2, or null) for a reason ($3).
update auth_session
set ended_at = now(), end_reason = $3
where user_id = $1 and id is distinct from $2 and ended_at is null
