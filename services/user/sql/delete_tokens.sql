-- Deletes the refresh tokens of a user ($1), whose sessions have ended. Skips one that is being exchanged at this moment, which
-- would wait for its session: it is refused, and is deleted with the session.
delete from refresh_token
where digest = any (array(
    select t.digest
    from refresh_token as t
    join auth_session as s on s.id = t.session_id
    where s.user_id = $1
    for update of t skip locked
))
