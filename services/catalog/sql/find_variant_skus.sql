-- Reads those of the stock keeping units $1 that variants have.
select v.sku
from variant as v
where v.sku = any($1) and v.deleted_at is null
