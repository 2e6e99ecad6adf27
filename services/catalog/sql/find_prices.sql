-- Reads the prices of products $1 in currency $2.
select m.product_id, m.amount
from product_price as m
where m.product_id = any($1) and m.currency = $2
