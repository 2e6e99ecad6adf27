-- Stores the purchases ($1) of orders that have none. Returns their orders.
--
-- In the order of the ids, like every statement of this service that locks several rows: concurrent batches cannot deadlock.
insert into purchase (order_id, user_id, epoch, seq, counted, changed_at, lines)
select p.order_id, p.user_id, p.epoch, p.seq, p.counted, p.changed_at, p.lines
from unnest($1::purchase_row[]) as p
order by p.order_id
on conflict (order_id) do nothing
returning order_id
