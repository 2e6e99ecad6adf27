-- Locks and reads the purchases of orders ($1).
select order_id, user_id, epoch, seq, counted, changed_at, lines
from purchase
where order_id = any ($1)
order by order_id
for update
