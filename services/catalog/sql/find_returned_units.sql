-- Units that went back into stock of a hold, by line and return. $1 order, $2 number of the hold.
select r.return_id, l.product_id, l.variant, l.warehouse_id, l.quantity::bigint as quantity
from returned_units as r
cross join lateral unnest(r.lines) as l
where r.order_id = $1 and r.hold = $2
