-- What a user ($1) bought by their latest purchases ($2 at most): at most $3 products, most units first.
with latest as (
    select lines
    from purchase
    where user_id = $1 and counted
    order by changed_at desc, order_id
    limit $2
),
bought as (
    select
        (line ->> 'product')::uuid as product_id,
        sum((line ->> 'quantity')::bigint)::bigint as units,
        min(line ->> 'category') as category
    from latest
    cross join lateral jsonb_array_elements(latest.lines) as line
    group by 1
    order by 2 desc, 1
    limit $3
)
select b.product_id, b.units, coalesce(p.category, b.category) as category
from bought as b
left join lateral (
    select p.category from product as p where p.product_id = b.product_id limit 1
) as p on true
order by b.units desc, b.product_id
