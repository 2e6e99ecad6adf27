-- Shipments of orders, in the sequence in which they were added. $1: ids of orders.
select
    s.order_id, s.id, s.seller_id, s.carrier, s.tracking_number, s.created_at, s.delivered_at,
    array(select i.line from shipment_item as i where i.shipment_id = s.id order by i.line) as lines,
    array(select i.quantity from shipment_item as i where i.shipment_id = s.id order by i.line) as quantities
from shipment as s
where s.order_id = any ($1)
order by s.order_id, s.seq
