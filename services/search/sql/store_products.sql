-- Stores products ($1) in the generation $2, or in the live one and the one that is being built if $2 is null; each unless
-- the same or a newer version is stored. A deleted product remains as a row that no search finds.
--
-- Writes in the order of the primary key: concurrent statements cannot deadlock.
insert into product_entry as kept (
    generation, product_id, version, visible, name, name_key, description, sku, price_amount, price_currency, category,
    brand, supplier, image_url, seller_id, created_at, updated_at, headline, search
)
select
    g.number, c.product_id, c.version, c.visible, c.name, c.name_key, c.description, c.sku, c.price_amount,
    c.price_currency, c.category, c.brand, c.supplier, c.image_url, c.seller_id, c.created_at, c.updated_at,
    c.headline::tsvector, c.search::tsvector
from (
    select distinct on (u.product_id) u.*
    from unnest($1::product_change[]) as u
    order by u.product_id, u.version desc
) as c
cross join index_generation as g
where
    g.number = coalesce($2::integer, g.number)
    and g.number >= (select max(l.number) from index_generation as l where l.state = 'live')
order by g.number, c.product_id
on conflict (generation, product_id) do update
set
    version = excluded.version, visible = excluded.visible, name = excluded.name, name_key = excluded.name_key,
    description = excluded.description, sku = excluded.sku, price_amount = excluded.price_amount,
    price_currency = excluded.price_currency, category = excluded.category, brand = excluded.brand,
    supplier = excluded.supplier, image_url = excluded.image_url, seller_id = excluded.seller_id,
    created_at = least(kept.created_at, excluded.created_at), updated_at = excluded.updated_at,
    headline = excluded.headline, search = excluded.search, stored_at = now()
where kept.version < excluded.version
