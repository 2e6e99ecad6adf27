-- Adds units to a stock row that the transaction has locked, and writes the ledger entry.
-- $1 product, $2 variant, $3 warehouse, $4 units (negative: removed), $5 kind of the ledger entry, $6 actor or null.
with recorded as (
    insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, actor)
    values ($1, $2, $3, $5, $4, $6)
)
update stock
set on_hand = on_hand + $4, version = version + 1
where product_id = $1 and variant = $2 and warehouse_id = $3
