-- Marks a shipment as delivered and counts its units, unless it is delivered already. $1: id. $2: time.
with delivered as (
    update shipment
    set delivered_at = $2
    where id = $1 and delivered_at is null
    returning id, order_id
)
update order_item_shipped as s
set delivered = s.delivered + i.quantity
from delivered
join shipment_item as i on i.shipment_id = delivered.id
where s.order_id = delivered.order_id and s.line = i.line
