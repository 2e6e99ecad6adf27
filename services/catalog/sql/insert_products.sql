-- Inserts the products $1, and the terms that they name if they are unknown; returns their names as the terms have them.
insert into product (
    id, seller_id, version, name, name_key, description, sku, price_amount, price_currency, category, brand, supplier,
    image_url
)
select
    r.id, r.seller_id, r.version, r.name, r.name_key, r.description, r.sku, r.price_amount, r.price_currency, r.category,
    r.brand, r.supplier, r.image_url
from unnest($1::product_row[]) as r
-- The same order in every transaction: each takes a lock for its stock keeping unit.
order by r.sku
returning id, category, brand, supplier, created_at, updated_at
