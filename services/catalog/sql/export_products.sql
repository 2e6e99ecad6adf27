-- Reads products with their stock rows, in the order of their ids.
-- $1 the last id before, $2 limit.
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock, p.translations, p.prices,
    array(
        select row(s.id, s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, 0)::stock_level
        from stock as s
        where s.product_id = p.id
    ) as levels
from listed_product as p
where p.id > $1
order by p.id
limit $2
