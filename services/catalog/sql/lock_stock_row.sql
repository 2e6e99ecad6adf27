-- Reads and locks the stock row of a product that is not deleted.
-- $1 product, $2 variant, $3 warehouse.
select s.id, s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, w.priority
from stock as s
join warehouse as w on w.id = s.warehouse_id
join product as p on p.id = s.product_id and p.deleted_at is null
where s.product_id = $1 and s.variant = $2 and s.warehouse_id = $3
for no key update of s
