-- The checkout of an order ($1), with the deleted products among its lines. That of an erased user has no lines, so that
-- none returns to the cart.
select
    c.state,
    c.cart_id,
    c.cart_version,
    case
        when exists (select from erased_cart as e where e.cart_id = c.cart_id and e.erased) then '[]'::jsonb
        else c.lines
    end as lines,
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
