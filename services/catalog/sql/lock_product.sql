-- Reads product $1 unless it is deleted, and locks it until the transaction ends.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock, p.translations, p.prices
from listed_product as p
where p.id = $1
for no key update
