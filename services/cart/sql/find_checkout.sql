-- The checkout of an order ($1), with the deleted products among its lines.
select
    c.state,
    c.cart_id,
    c.cart_version,
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
from cart_checkout as c
where c.order_id = $1
