-- Gives up to $3 products of term $1 its name $2 where they have another one. Products that another transaction has locked
-- come with a later batch.
with due as (
    select p.id
    from product as p
    where
        (p.category_id = $1 and p.category <> $2)
        or (p.brand_id = $1 and p.brand <> $2)
        or (p.supplier_id = $1 and p.supplier <> $2)
    limit $3
    for no key update skip locked
)
update product as p
set
    category = case when p.category_id = $1 then $2 else p.category end,
    brand = case when p.brand_id = $1 then $2 else p.brand end,
    supplier = case when p.supplier_id = $1 then $2 else p.supplier end,
    version = p.version + 1,
    updated_at = now()
from due
where p.id = due.id
returning
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, 0::bigint as stock
