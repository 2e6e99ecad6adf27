-- A user's ($1) sessions that have not ended, newest first; at most $2.
select id, host(ip) as ip, user_agent, issued_at, used_at, expires_at
from auth_session
where user_id = $1 and ended_at is null and expires_at > now()
order by issued_at desc, id
limit $2
