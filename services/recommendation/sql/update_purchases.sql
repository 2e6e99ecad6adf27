-- Replaces purchases ($1) that the transaction has locked.
update purchase as p
set epoch = n.epoch, seq = n.seq, counted = n.counted, changed_at = n.changed_at, lines = n.lines
from unnest($1::purchase_row[]) as n
where p.order_id = n.order_id
