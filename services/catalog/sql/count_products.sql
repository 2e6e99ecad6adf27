-- Counts the products, or those of a category.
-- $1 category or null.
select count(*)
from product as p
where p.deleted_at is null and ($1::text is null or p.category = $1)
