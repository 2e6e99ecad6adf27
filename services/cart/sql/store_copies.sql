-- Stores copies of products ($1), each unless the same or a newer version is stored: of versions, one of a newer epoch is newer.
-- The copy of a deleted product keeps its last name and prices; the search of carts for its lines begins. So does the search
-- for the lines of a product whose price, or own price of a variant, differs from that of its last copy.
--
-- Writes the newest copy of each product, in the order of their ids: concurrent statements cannot deadlock.
insert into product_copy as kept (
    product_id, epoch, version, name, image_url, price_amount, price_currency, variant_prices, deleted, searched_cart
)
select distinct on (c.product_id)
    c.product_id,
    c.epoch,
    c.version,
    c.name,
    c.image_url,
    c.price_amount,
    c.price_currency,
    c.variant_prices,
    c.deleted,
    case when c.deleted then '00000000-0000-0000-0000-000000000000'::uuid end
from unnest($1::product_copy_with_variants[]) as c
order by c.product_id, c.epoch desc, c.version desc
on conflict (product_id) do update
    set
        epoch = excluded.epoch,
        version = excluded.version,
        deleted = excluded.deleted,
        searched_cart = excluded.searched_cart,
        repriced_cart = case
            when excluded.deleted then null
            when
                (excluded.price_amount, excluded.price_currency, excluded.variant_prices)
                is distinct from (kept.price_amount, kept.price_currency, kept.variant_prices)
                then '00000000-0000-0000-0000-000000000000'::uuid
            else kept.repriced_cart
        end,
        name = case when excluded.deleted then kept.name else excluded.name end,
        image_url = case when excluded.deleted then kept.image_url else excluded.image_url end,
        price_amount = coalesce(excluded.price_amount, kept.price_amount),
        price_currency = coalesce(excluded.price_currency, kept.price_currency),
        variant_prices = case when excluded.deleted then kept.variant_prices else excluded.variant_prices end
    where (kept.epoch, kept.version) < (excluded.epoch, excluded.version)
