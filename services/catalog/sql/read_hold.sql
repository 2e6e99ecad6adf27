-- Reads what the end of a hold depends on: the hold and, in the states $3, the stock rows of its lines. Takes no lock.
-- $1 order, $2 number of the hold, $3 states in which stock changes.
select
    h.state,
    h.reserved_by,
    h.committed_by,
    h.released_by,
    array(
        select
            row(
                s.id, l.product_id, l.variant, l.warehouse_id, s.on_hand, s.reserved, s.version, l.quantity
            )::held_stock
        from unnest(h.lines) as l
        cross join lateral (
            select s.id, s.on_hand, s.reserved, s.version
            from stock as s
            where s.product_id = l.product_id and s.variant = l.variant and s.warehouse_id = l.warehouse_id
            offset 0
        ) as s
        where h.state = any($3::text[])
    ) as stock
from hold as h
where h.order_id = $1 and h.hold = $2
