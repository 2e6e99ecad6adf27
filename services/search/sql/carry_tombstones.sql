-- Copies what the live generation knows of deleted products to generation $1, which is read from the catalog, where they are
-- not: without them, an event from before the deletion that is delivered again would bring the product back.
insert into product_entry (
    generation, product_id, version, visible, name, name_key, description, price_amount, price_currency, seller_id,
    created_at, updated_at, headline, search, stored_at
)
select
    $1, e.product_id, e.version, false, '', '', '', 0, '', e.seller_id, e.created_at, e.updated_at, '', '', e.stored_at
from product_entry as e
where
    e.generation = (select max(g.number) from index_generation as g where g.state = 'live')
    and not e.visible and e.version > 0
order by e.product_id
on conflict do nothing
