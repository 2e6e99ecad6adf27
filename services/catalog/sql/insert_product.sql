-- Inserts a product of version 1, and the terms that it names if they are unknown. Returns their names as the terms have them.
insert into product (
    id, seller_id, version, name, name_key, description, sku, price_amount, price_currency, category, brand, supplier,
    image_url
)
values ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
returning category, brand, supplier, created_at, updated_at
