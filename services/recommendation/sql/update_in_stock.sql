-- Sets whether locked products ($1) are in stock. Returns those that came into or went out of it.
update product as p
set in_stock = s.in_stock
from unnest($1::uuid[]) as n (product_id)
cross join lateral (
    select coalesce(bool_or(l.available > 0), false) as in_stock
    from stock_level as l
    where l.product_id = n.product_id
) as s
where p.product_id = n.product_id and p.in_stock <> s.in_stock
returning p.product_id
