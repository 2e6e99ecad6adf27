-- Locks a product ($1) of the catalog. No row: the catalog has none, or it is deleted.
select product_id
from product
where product_id = $1 and version > 0 and not deleted
for update
