-- Ends a session ($2) of a user ($1). No row: the user has no such session, or it has ended.
update auth_session
set ended_at = now(), end_reason = 'user'
where user_id = $1 and id = $2 and ended_at is null and expires_at > now()
returning id
