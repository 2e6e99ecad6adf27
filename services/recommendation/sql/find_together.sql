-- Products that were bought together with some of the user's ($1), in most orders first: at most $3 for each of the user's
-- products, and $3 in all. Leaves out what the user bought ($2).
with paired as (
    select b.product_id as with_id, t.other_id as product_id, t.orders
    from unnest($1::uuid[]) as b (product_id)
    cross join lateral (
        select t.other_id, t.orders
        from bought_together as t
        cross join lateral (
            select p.shown from product as p where p.product_id = t.other_id limit 1
        ) as p
        where t.product_id = b.product_id and t.other_id <> all ($2::uuid[]) and p.shown
        order by t.orders desc, t.other_id
        limit $3
    ) as t
),
counted as (
    select
        product_id,
        sum(orders)::bigint as orders,
        (array_agg(with_id order by orders desc, with_id))[1] as with_id
    from paired
    group by product_id
)
select
    p.product_id,
    p.name,
    p.price_amount,
    p.price_currency,
    p.category,
    p.image_url,
    p.positive_votes,
    p.negative_votes,
    c.with_id,
    coalesce(w.name, '') as with_name
from counted as c
cross join lateral (select p.* from product as p where p.product_id = c.product_id limit 1) as p
left join lateral (select w.name from product as w where w.product_id = c.with_id limit 1) as w on true
order by c.orders desc, p.score desc, p.product_id
limit $3
