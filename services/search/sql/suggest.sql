-- Reads completions of a text: categories and brands, then names of products, that match the query $1 as far as it is typed.
-- $2 its whole words, which rank higher; $3 most products that are considered, $4 most completions of each kind.
with matched as materialized (
    select
        e.product_id, e.name, e.category, e.brand,
        ts_rank(e.headline, $1::text::tsquery) + ts_rank(e.headline, $2::text::tsquery) as rank,
        ts_rank('{0, 0, 1, 0}', e.headline, $1::text::tsquery) > 0 as by_label
    from product_entry as e
    where
        e.visible and e.generation = (select max(g.number) from index_generation as g where g.state = 'live')
        and e.headline @@ $1::text::tsquery
    limit $3
),
completions as (
    (
        select 1 as kind, m.category as text, null::uuid as product_id, count(*)::real as weight
        from matched as m
        where m.by_label and m.category is not null
        group by m.category
        order by weight desc, m.category
        limit $4
    )
    union all
    (
        select 2, m.brand, null, count(*)::real as weight
        from matched as m
        where m.by_label and m.brand is not null
        group by m.brand
        order by weight desc, m.brand
        limit $4
    )
    union all
    (
        select 3, m.name, (array_agg(m.product_id order by m.product_id))[1], max(m.rank) as weight
        from matched as m
        group by m.name
        order by weight desc, m.name
        limit $4
    )
)
select c.kind, c.text, c.product_id from completions as c order by c.kind, c.weight desc, c.text
