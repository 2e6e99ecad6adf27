-- The cart of a guest's token ($1: its hash): one row per line, oldest first, with the stored copy of its product. One row
-- without a line if the cart is empty; no row if there is none, or if its last change is more than $2 days ago.
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
from guest_cart as c
left join lateral jsonb_array_elements(c.lines) with ordinality as l (line, position) on true
left join lateral (
    select p.epoch, p.version, p.name, p.image_url, p.price_amount, p.price_currency, p.variant_prices, p.deleted
    from product_copy as p
    where p.product_id = (l.line ->> 'product')::uuid
    limit 1
) as p on true
where c.token_hash = $1 and c.updated_at > now() - make_interval(days => $2)
order by l.position
