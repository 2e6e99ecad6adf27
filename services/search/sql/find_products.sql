-- Reads the products among $1 in the live generation.
select
    e.product_id, e.version, e.name, e.description, e.sku, e.price_amount, e.price_currency, e.category, e.brand,
    e.supplier, e.image_url, e.seller_id, e.created_at, e.updated_at, e.stock
from product_entry as e
where
    e.visible and e.generation = (select max(g.number) from index_generation as g where g.state = 'live')
    and e.product_id = any($1)
