-- Locks every stock row of the requested products, in the order of the primary key.
-- $1 requested products, sorted.
select
from unnest($1::product_variant[]) as l
cross join lateral (
    select
    from stock as s
    where s.product_id = l.product_id and s.variant = l.variant
    order by s.warehouse_id
    for no key update
) as s
