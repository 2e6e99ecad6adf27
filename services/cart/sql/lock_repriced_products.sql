-- Those of the products ($1) whose search has still come to the cart ($2), with the age of their copies. Skips those that
-- another process has locked.
select product_id, epoch, version
from product_copy
where product_id = any($1) and repriced_cart = $2
order by product_id
for update skip locked
