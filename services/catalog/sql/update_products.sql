-- Replaces the details and versions of the products $1, which the transaction has locked; see update_product.sql.
update product as p
set
    version = r.version, name = r.name, name_key = r.name_key, description = r.description, sku = r.sku,
    price_amount = r.price_amount, category = r.category, brand = r.brand, supplier = r.supplier,
    image_url = r.image_url, updated_at = now()
from unnest($1::product_row[]) as r
where p.id = r.id
returning p.id, p.category, p.brand, p.supplier, p.created_at, p.updated_at
