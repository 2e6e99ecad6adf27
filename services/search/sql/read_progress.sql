-- Reads the generation that is being built, or the live one if none is, and of the live one whether it was built and its
-- products.
select
    g.number, g.state = 'building' as is_building, g.started_at, g.updated_at, g.built_at, g.products,
    l.products as live_products, l.built_at is not null as is_live_built
from index_generation as g
cross join (
    select p.products, p.built_at from index_generation as p where p.state = 'live' order by p.number desc limit 1
) as l
order by g.state = 'building' desc, g.number desc
limit 1
