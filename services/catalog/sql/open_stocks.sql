-- Inserts the first stock rows of new products in warehouse $4, with ledger entries.
-- $1 ids of the stock rows, $2 products, $3 units.
with opened as (
    insert into stock (id, product_id, variant, warehouse_id, on_hand, version)
    select o.id, o.product_id, '', $4, o.units, 1
    from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as o (id, product_id, units)
    returning product_id, variant, warehouse_id, on_hand
)
insert into stock_movement (product_id, variant, warehouse_id, kind, quantity)
select o.product_id, o.variant, o.warehouse_id, 'receipt', o.on_hand
from opened as o
