-- Reads one page of the products that match a query, how many match, and the values of the filters with their counts.
--
-- A count of a filter's value ignores the filter itself: it says what another choice would find. The page's sort key is a
-- text whose bytes have the requested order, so that one statement serves every order.
--
-- $1 query, or null for all products; $2 its whole words without prefixes, which rank higher; $3 most products that are
-- considered, or null; $4 descriptions are searched until so many products match; $5 category, $6 brand, $7 lowest and $8
-- highest price, each or null; $9 whether only products in stock match; $10 sort order; $11 sort key and
-- $12 id of the last product before the page, or null; $13 limit, $14 offset; $15 lower bounds of the price ranges, or null
-- if no values of filters are requested; $16 most values of a filter.
with live as materialized (
    select max(g.number) as number from index_generation as g where g.state = 'live'
),
named as materialized (
    select
        e.product_id, e.name_key, e.category, e.brand, e.price_amount, e.price_currency, e.stock > 0 as in_stock,
        e.created_at,
        coalesce(
            1000000 * (ts_rank(e.headline, $1::text::tsquery) + ts_rank(e.headline, $2::text::tsquery)), 0
        )::bigint as rank
    from product_entry as e
    where
        e.visible and e.generation = (select number from live)
        and ($1::text is null or e.headline @@ $1::text::tsquery)
    limit $3
),
described as materialized (
    select
        e.product_id, e.name_key, e.category, e.brand, e.price_amount, e.price_currency, e.stock > 0 as in_stock,
        e.created_at, 0::bigint as rank
    from product_entry as e
    where
        e.visible and e.generation = (select number from live)
        and e.search @@ $1::text::tsquery and not e.headline @@ $1::text::tsquery
    limit greatest($4 - (select count(*) from named), 0)
),
matched as materialized (
    select
        m.*,
        $5::text is null or m.category = $5 as of_category,
        $6::text is null or m.brand = $6 as of_brand,
        m.price_amount between coalesce($7, 0) and coalesce($8, m.price_amount) as of_price,
        m.in_stock or not $9 as of_stock
    from (select * from named union all select * from described) as m
),
sorted as (
    select
        m.product_id, m.rank,
        case $10
            when 'relevance' then lpad((9999999999999999 - m.rank)::text, 16, '0')
            when 'name' then m.name_key
            when 'price' then lpad(m.price_amount::text, 16, '0')
            when '-price' then lpad((9999999999999999 - m.price_amount)::text, 16, '0')
            when 'createdAt' then lpad((extract(epoch from m.created_at) * 1000000)::bigint::text, 16, '0')
            when '-createdAt'
                then lpad((9999999999999999 - (extract(epoch from m.created_at) * 1000000)::bigint)::text, 16, '0')
        end collate "C" as sort_key
    from matched as m
    where m.of_category and m.of_brand and m.of_price and m.of_stock
),
page as materialized (
    select s.product_id, s.rank, s.sort_key
    from sorted as s
    where $11::text is null or (s.sort_key, s.product_id) > ($11, $12)
    order by s.sort_key, s.product_id
    limit $13 offset $14
),
counted as (
    select
        case
            when grouping(m.category) = 0 then 'category'
            when grouping(m.brand) = 0 then 'brand'
            when grouping(m.price_range) = 0 then 'price'
            else 'inStock'
        end as filter,
        coalesce(m.category, m.brand, m.price_currency) collate "C" as value,
        m.price_range as range,
        case
            when grouping(m.category) = 0 then count(*) filter (where m.of_brand and m.of_price and m.of_stock)
            when grouping(m.brand) = 0 then count(*) filter (where m.of_category and m.of_price and m.of_stock)
            when grouping(m.price_range) = 0 then count(*) filter (where m.of_category and m.of_brand and m.of_stock)
            else count(*) filter (where m.in_stock and m.of_category and m.of_brand and m.of_price)
        end as products
    from (select *, width_bucket(price_amount, $15::bigint[]) as price_range from matched) as m
    where $15 is not null
    group by grouping sets ((m.category), (m.brand), (m.price_currency, m.price_range), ())
),
facets as (
    select c.filter, c.value, c.range, c.products
    from (
        select *, row_number() over (partition by filter order by products desc, value, range) as place
        from counted
        where products > 0 and (value is not null or filter = 'inStock')
    ) as c
    where c.place <= $16
    order by c.filter, c.place
)
select
    (select count(*) from sorted) as total,
    (select count(*) from named) as named,
    (select count(*) from described) as described,
    array(select p.product_id from page as p order by p.sort_key, p.product_id) as products,
    array(select p.rank from page as p order by p.sort_key, p.product_id) as ranks,
    (
        select coalesce(json_agg(json_build_object(
            'filter', f.filter, 'value', f.value, 'range', f.range, 'products', f.products
        )), '[]')
        from facets as f
    ) as facets
