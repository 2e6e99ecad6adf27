-- Reads the own prices of the variants of products $1.
select v.product_id, v.name, v.price_amount
from variant as v
where v.product_id = any($1) and v.price_amount is not null and v.deleted_at is null
