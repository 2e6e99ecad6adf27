-- The carts after one ($1) up to another one ($2) that have lines of the products ($3), with these products. Locks them in the
-- order of their ids.
select
    c.id as cart_id,
    c.version,
    array(
        select distinct (line ->> 'product')::uuid as product
        from jsonb_array_elements(c.lines) as line
        where (line ->> 'product')::uuid = any($3)
        order by product
    ) as products
from cart as c
where
    c.id > $1
    and c.id <= $2
    and exists (
        select from jsonb_array_elements(c.lines) as line where (line ->> 'product')::uuid = any($3)
    )
order by c.id
for update
