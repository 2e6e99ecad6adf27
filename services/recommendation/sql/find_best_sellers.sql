-- The products of which most units were sold, at most $2. Leaves out what the user bought ($1).
select
    p.product_id,
    p.name,
    p.price_amount,
    p.price_currency,
    p.category,
    p.image_url,
    p.positive_votes,
    p.negative_votes
from product as p
where p.shown and p.units_sold > 0 and p.product_id <> all ($1::uuid[])
order by p.units_sold desc, p.product_id
limit $2
