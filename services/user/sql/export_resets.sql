-- A user's ($1) requests to set a new password, newest first, also those of the address ($2) that are not announced; at most $3.
select requested_at, expires_at, used_at
from password_reset
where user_id = $1 or (user_id is null and email = $2)
order by requested_at desc, id
limit $3
