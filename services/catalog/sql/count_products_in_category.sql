-- Counts the products of a category that a search finds.
-- $1 pattern of the search or null, $2 category.
select count(*)
from listed_product as p
where
    ($1::text is null or p.name ilike $1 or p.description ilike $1)
    and p.category = $2
