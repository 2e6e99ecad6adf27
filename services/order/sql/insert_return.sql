-- Inserts a return with its items and counts their units. Violates order_item_returned_at_most_delivered if they are more than
-- delivered. $1: id. $2: order. $3: version of the order. $4: status. $5: reason. $6: amount. $7: time. $8: lines, from 1.
-- $9: units of each. $10: what is refunded for each, or nothing where that is their price.
with inserted as (
    insert into order_return (id, order_id, seq, status, reason, amount_minor, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $7)
    returning id, order_id
), items as (
    insert into order_return_item (return_id, order_id, line, quantity, amount_minor)
    select inserted.id, inserted.order_id, u.line, u.quantity, u.amount_minor
    from inserted, unnest($8::smallint[], $9::integer[], $10::bigint[]) as u (line, quantity, amount_minor)
    returning order_id, line, quantity
)
update order_item_shipped as s
set returned = s.returned + items.quantity
from items
where s.order_id = items.order_id and s.line = items.line
