-- Reads the products among $1 that are not deleted, with the available units of each variant that has a name.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock,
    (
        select json_object_agg(v.variant, v.stock)
        from (
            select s.variant, sum(s.on_hand - s.reserved)::bigint as stock
            from stock as s
            where s.product_id = p.id and s.variant <> ''
            group by s.variant
        ) as v
    ) as variants
from listed_product as p
where p.id = any($1)
