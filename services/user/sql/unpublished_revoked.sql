-- The $2 first sessions that were revoked and are not published, with the time when their access tokens have expired: $1 seconds
-- later.
select id, auth_session_id, extract(epoch from revoked_at + $1::float8 * interval '1 second')::bigint as ends
from blocked_auth
where published_at is null
order by id
limit $2
