-- Products ($1 at most) whose price changed and whose lines are searched for in carts: those that have come furthest, and as
-- far as each other, so that one reading of a cart serves all of them.
select product_id, repriced_cart
from product_copy
where
    repriced_cart = (
        select p.repriced_cart
        from product_copy as p
        where p.repriced_cart is not null
        order by p.repriced_cart desc
        limit 1
    )
order by product_id
limit $1
