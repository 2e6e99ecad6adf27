-- Puts units of a hold back into stock rows that the transaction has locked, with ledger entries, and stores the return.
-- $1 return, $2 order, $3 number of the hold, $4 changes of stock rows in the order of the primary key, $5 events.
with moved as (
    select c.product_id, c.variant, c.warehouse_id, c.on_hand
    from unnest($4::stock_change[]) as c
),
stored as (
    insert into returned_units (return_id, order_id, hold, lines)
    select $1, $2, $3, array_agg(row(m.product_id, m.variant, m.warehouse_id, m.on_hand)::hold_line)
    from moved as m
    having count(*) > 0
    returning return_id
),
changed as (
    update stock as s
    set on_hand = s.on_hand + m.on_hand, version = s.version + 1
    from moved as m
    where s.product_id = m.product_id and s.variant = m.variant and s.warehouse_id = m.warehouse_id
        and exists (select from stored)
),
recorded as (
    insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, order_id)
    select m.product_id, m.variant, m.warehouse_id, 'return', m.on_hand, $2
    from moved as m
    where exists (select from stored)
)
select outbox_append($5) from stored
