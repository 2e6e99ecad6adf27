-- Stores stock levels ($1) in the generation $2, or in the live one and the one that is being built if $2 is null; each
-- unless the same or a newer version is stored. The levels of an unknown product wait in a row that no search finds.
--
-- Writes in the order of the primary key: concurrent statements cannot deadlock.
insert into product_entry as kept (
    generation, product_id, version, visible, name, name_key, description, price_amount, price_currency, seller_id,
    created_at, updated_at, stock_levels, stock, headline, search
)
select
    g.number, c.product_id, 0, false, '', '', '', 0, '', '00000000-0000-0000-0000-000000000000', 'infinity', '-infinity',
    c.levels, units_of(c.levels), '', ''
from (
    select u.product_id, newest_levels('{}', array_agg(row(u.variant, u.warehouse_id, u.units, u.version)::stock_level)) as levels
    from unnest($1::stock_change[]) as u
    group by u.product_id
) as c
cross join index_generation as g
where
    g.number = coalesce($2::integer, g.number)
    and g.number >= (select max(l.number) from index_generation as l where l.state = 'live')
order by g.number, c.product_id
on conflict (generation, product_id) do update
set
    stock_levels = newest_levels(kept.stock_levels, excluded.stock_levels),
    stock = units_of(newest_levels(kept.stock_levels, excluded.stock_levels)),
    stored_at = now()
where newest_levels(kept.stock_levels, excluded.stock_levels) is distinct from kept.stock_levels
