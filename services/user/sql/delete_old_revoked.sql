-- Deletes at most $2 sessions that were revoked more than $1 seconds ago: their access tokens have expired.
delete from blocked_auth
where id = any (array(
    select id
    from blocked_auth
    where revoked_at < now() - $1::float8 * interval '1 second'
    order by revoked_at
    limit $2
))
