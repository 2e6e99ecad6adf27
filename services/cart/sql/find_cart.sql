-- The cart of a user ($1): one row per line, oldest first, with the stored copy of its product. One row without a line if
-- the cart is empty; no row if none is stored.
--
-- The lateral subquery reads each copy by its key, whatever the planner knows of the tables' sizes.
select
    c.id as cart_id,
    c.version as cart_version,
    l.line,
    p.epoch as copy_epoch,
    p.version as copy_version,
    p.name,
    p.image_url,
    p.price_amount,
    p.price_currency,
    p.variant_prices,
    p.deleted
from cart as c
left join lateral jsonb_array_elements(c.lines) with ordinality as l (line, position) on true
left join lateral (
    select p.epoch, p.version, p.name, p.image_url, p.price_amount, p.price_currency, p.variant_prices, p.deleted
    from product_copy as p
    where p.product_id = (l.line ->> 'product')::uuid
    limit 1
) as p on true
where c.id = $1
order by l.position
