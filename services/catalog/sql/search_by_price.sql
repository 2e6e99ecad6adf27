-- Reads one page of the products that a search finds, sorted by price. Finds first and sorts then: along an index of the
-- sort key, a search that finds little would read every product.
-- $1 pattern of the search, $2 and $3 the last key before the page, $4 limit, $5 offset, $6 category or null.
with found as materialized (
    select p.id, p.price_amount
    from product as p
    where
        p.deleted_at is null
        and (p.name ilike $1 or p.description ilike $1)
        and ($6::text is null or p.category = $6)
),
page as (
    select f.id, f.price_amount
    from found as f
    where (f.price_amount, f.id) > ($2, $3)
    order by f.price_amount, f.id
    limit $4 offset $5
)
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock
from page
join listed_product as p on p.id = page.id
order by page.price_amount, page.id
