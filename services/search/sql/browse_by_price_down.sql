-- Reads one page of the products of the live generation, sorted by price_amount, the highest first.
-- $1 and $2 the last key before the page, $3 limit, $4 offset, $5 category, $6 brand, $7 lowest and $8 highest price, each
-- or null, $9 whether only products in stock are read.
select
    e.product_id, e.version, e.name, e.description, e.sku, e.price_amount, e.price_currency, e.category, e.brand,
    e.supplier, e.image_url, e.seller_id, e.created_at, e.updated_at, e.stock
from product_entry as e
where
    e.visible and e.generation = (select max(g.number) from index_generation as g where g.state = 'live')
    and (e.price_amount, e.product_id) < ($1, $2)
    and ($5::text is null or e.category = $5)
    and ($6::text is null or e.brand = $6)
    and ($7::bigint is null or e.price_amount >= $7)
    and ($8::bigint is null or e.price_amount <= $8)
    and (e.stock > 0 or not $9)
order by e.price_amount desc, e.product_id desc
limit $3 offset $4
