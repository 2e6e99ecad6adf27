-- Inserts the first stock row of a new product, and writes the ledger entry.
-- $1 product, $2 warehouse, $3 units, $4 id of the stock row.
with opened as (
    insert into stock (id, product_id, variant, warehouse_id, on_hand, version)
    values ($4, $1, '', $2, $3, 1)
)
insert into stock_movement (product_id, variant, warehouse_id, kind, quantity)
values ($1, '', $2, 'receipt', $3)
