-- Reads one page of the products of a category, sorted by ascending price. Separate files for any category and for one,
-- because a prepared statement has one plan for all values.
-- $1 and $2 the last key before the page, $3 limit, $4 offset, $5 category.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock
from listed_product as p
where
    (p.price_amount, p.id) > ($1, $2)
    and p.category = $5
order by p.price_amount, p.id
limit $3 offset $4
