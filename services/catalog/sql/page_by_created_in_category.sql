-- Reads one page of the products of a category, sorted by time of creation. Separate files for any category and for one,
-- because a prepared statement has one plan for all values.
-- $1 pattern of the search or null, $2 and $3 the last key before the page, $4 limit, $5 offset, $6 category.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock
from listed_product as p
where
    (p.created_at, p.id) > ($2, $3)
    and p.category = $6
    and ($1::text is null or p.name ilike $1 or p.description ilike $1)
order by p.created_at, p.id
limit $4 offset $5
