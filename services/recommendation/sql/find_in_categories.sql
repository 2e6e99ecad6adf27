-- The best products of each category ($1) by votes, at most $3. Leaves out what the user bought ($2).
select
    p.product_id,
    p.name,
    p.price_amount,
    p.price_currency,
    p.category,
    p.image_url,
    p.positive_votes,
    p.negative_votes
from unnest($1::text[]) as c (name)
cross join lateral (
    select p.*
    from product as p
    where p.shown and p.category = c.name and p.product_id <> all ($2::uuid[])
    order by p.score desc, p.units_sold desc, p.product_id
    limit $3
) as p
order by c.name, p.score desc, p.units_sold desc, p.product_id
