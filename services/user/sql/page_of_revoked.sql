-- Sessions that were revoked within $1 seconds, with the time $1 seconds later, when their access tokens have expired: the $3 next
-- ones after an id ($2).
select id, auth_session_id, extract(epoch from revoked_at + $1::float8 * interval '1 second')::bigint as ends
from blocked_auth
where id > $2 and revoked_at > now() - $1::float8 * interval '1 second'
order by id
limit $3
