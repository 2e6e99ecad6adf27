-- Deleted products ($1 at most) whose lines are searched for in carts: those that have come furthest, and as far as each
-- other, so that one reading of a cart serves all of them. Skips those that another process has locked.
select product_id, name, searched_cart
from product_copy
where
    searched_cart = (
        select p.searched_cart
        from product_copy as p
        where p.searched_cart is not null
        order by p.searched_cart desc
        limit 1
    )
order by product_id
limit $1
for update skip locked
