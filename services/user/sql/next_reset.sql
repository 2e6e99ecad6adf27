-- Locks the oldest request that is not announced. No row: there is none, or another instance has it.
select id, email, expires_at
from password_reset
where user_id is null
order by requested_at
limit 1
for update skip locked
