-- Adds the units of a shipment to those that are shipped of an order's lines. Violates order_item_shipped_at_most_ordered if
-- they are more than ordered. $1: order. $2: lines, from 1. $3: units of each.
insert into order_item_shipped as s (order_id, line, ordered, shipped, delivered)
select i.order_id, i.line, i.quantity, u.quantity, 0
from unnest($2::smallint[], $3::integer[]) as u (line, quantity)
join order_item as i on i.order_id = $1 and i.line = u.line
on conflict (order_id, line) do update
set shipped = s.shipped + excluded.shipped
