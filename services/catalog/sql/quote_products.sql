-- Reads the products among $1 that are not deleted, with the available units and the own price of each variant.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock,
    (
        select
            json_object_agg(
                v.name,
                json_build_object(
                    'units',
                    (
                        select coalesce(sum(s.on_hand - s.reserved), 0)
                        from stock as s
                        where s.product_id = v.product_id and s.variant = v.name
                    ),
                    'price', v.price_amount
                )
            )
        from variant as v
        where v.product_id = p.id and v.deleted_at is null
    ) as variants
from listed_product as p
where p.id = any($1)
