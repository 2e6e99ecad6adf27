-- A user's ($1) sessions, newest first, also those that have ended; at most $2.
select id, host(ip) as ip, user_agent, issued_at, used_at, expires_at, ended_at, end_reason
from auth_session
where user_id = $1
order by issued_at desc, id
limit $2
