-- Reads up to $2 products that are in stock among the $3 products after product $1, in the order of their ids.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock
from (
    select
        p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category,
        p.brand, p.supplier, p.image_url, p.created_at, p.updated_at, p.stock
    from listed_product as p
    where p.id > $1
    order by p.id
    limit $3
) as p
where p.stock > 0
order by p.id
limit $2
