-- Replaces the details of product $1, which the transaction has locked; $2 is its new version.
-- Inserts the terms that it names if they are unknown; returns their names as the terms have them.
update product
set
    version = $2, name = $3, name_key = $4, description = $5, sku = $6, price_amount = $7, category = $8, brand = $9,
    supplier = $10, image_url = $11, updated_at = now()
where id = $1
returning category, brand, supplier, created_at, updated_at
