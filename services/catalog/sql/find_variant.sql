-- Reads variant $2 of product $1 with its available units.
select
    v.id, v.product_id, v.version, v.name, v.sku, v.price_amount, v.options, v.created_at, v.updated_at,
    p.price_amount as product_price, p.price_currency,
    coalesce(
        (select sum(s.on_hand - s.reserved) from stock as s where s.product_id = v.product_id and s.variant = v.name), 0
    )::bigint as stock
from variant as v
join product as p on p.id = v.product_id
where v.id = $2 and v.product_id = $1 and v.deleted_at is null
