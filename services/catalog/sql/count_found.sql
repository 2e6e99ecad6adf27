-- Counts the products that a search finds.
-- $1 pattern of the search, $2 category or null.
select count(*)
from product as p
where
    p.deleted_at is null
    and (p.name ilike $1 or p.description ilike $1)
    and ($2::text is null or p.category = $2)
