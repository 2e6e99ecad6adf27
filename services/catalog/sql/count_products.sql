-- Counts the products that a search finds.
-- $1 pattern of the search or null.
select count(*)
from listed_product as p
where
    ($1::text is null or p.name ilike $1 or p.description ilike $1)
