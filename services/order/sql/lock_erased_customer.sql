-- An erased user whose orders are to be looked at, locked until the transaction ends; skips those that another process has
-- locked.
select user_id
from customer
where erase_at <= now()
order by erase_at
limit 1
for update skip locked
