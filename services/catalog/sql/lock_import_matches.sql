-- Reads the products that lines of an import may match, and locks them: those with the ids $1, deleted or not, and those with
-- the stock keeping units $2.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, 0::bigint as stock, p.deleted_at is not null as deleted,
    (
        select json_object_agg(t.language, json_build_object('name', t.name, 'description', t.description))
        from product_translation as t
        where t.product_id = p.id
    ) as translations,
    (
        select json_object_agg(m.currency, m.amount)
        from product_price as m
        where m.product_id = p.id
    ) as prices
from product as p
where p.id = any($1) or (p.sku = any($2) and p.deleted_at is null)
order by p.id
for no key update
