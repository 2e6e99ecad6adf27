-- Locks products ($1), so that their stock, sales and copies change in one transaction at a time.
select product_id
from product
where product_id = any ($1)
order by product_id
for update
