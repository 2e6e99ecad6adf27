-- Inserts a shipment with its items, whose units are counted already. $1: id. $2: order. $3: version of the order. $4: seller.
-- $5: carrier. $6: tracking number. $7: time. $8: lines, from 1. $9: units of each.
with inserted as (
    insert into shipment (id, order_id, seq, seller_id, carrier, tracking_number, created_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    returning id, order_id
)
insert into shipment_item (shipment_id, order_id, line, quantity)
select inserted.id, inserted.order_id, u.line, u.quantity
from inserted, unnest($8::smallint[], $9::integer[]) as u (line, quantity)
