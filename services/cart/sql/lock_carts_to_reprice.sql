-- The carts after one ($1) up to another one ($2) that have lines of the products ($3), with all their lines and the deleted
-- products among these. Locks them in the order of their ids.
select
    c.id as cart_id,
    c.version,
    c.lines,
    array(
        select p.product_id
        from jsonb_array_elements(c.lines) as line
        cross join lateral (
            select p.product_id, p.deleted
            from product_copy as p
            where p.product_id = (line ->> 'product')::uuid
            limit 1
        ) as p
        where p.deleted
    ) as deleted_products
from cart as c
where
    c.id > $1
    and c.id <= $2
    and exists (
        select from jsonb_array_elements(c.lines) as line where (line ->> 'product')::uuid = any($3)
    )
order by c.id
for update
