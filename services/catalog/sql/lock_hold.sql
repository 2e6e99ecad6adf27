-- Locks a hold, if it exists, and then the stock rows of its lines in their order, which is that of the primary key.
-- $1 order, $2 number of the hold.
with locked as (
    select h.lines
    from hold as h
    where h.order_id = $1 and h.hold = $2
    for no key update
)
select
from locked as h
cross join lateral unnest(h.lines) as l
cross join lateral (
    select
    from stock as s
    where s.product_id = l.product_id and s.variant = l.variant and s.warehouse_id = l.warehouse_id
    for no key update
) as s
