-- Inserts a return with its items and counts their units. Violates order_item_returned_at_most_delivered if they are more than
-- delivered. $1: id. $2: order. $3: version of the order. $4: status. $5: reason. $6: amount. $7: time. $8: lines, from 1.
-- $9: units of each.
with inserted as (
    insert into order_return (id, order_id, seq, status, reason, amount_minor, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $7)
    returning id, order_id
), items as (
    insert into order_return_item (return_id, order_id, line, quantity)
    select inserted.id, inserted.order_id, u.line, u.quantity
    from inserted, unnest($8::smallint[], $9::integer[]) as u (line, quantity)
    returning order_id, line, quantity
)
update order_item_shipped as s
set returned = s.returned + items.quantity
from items
where s.order_id = items.order_id and s.line = items.line
