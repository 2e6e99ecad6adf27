-- Reads one page of the products that a search finds. Finds first and sorts then: along an index of the sort key, a search that
-- finds little would read every product. For the same reason one statement serves every order.
-- $1 pattern of the search, $2 category or null, $3 order, $4 name, $5 price or $6 time of the last product before the page, as
-- the order requires, $7 its id, $8 limit, $9 offset, $10 with the terms of the products.
with found as materialized (
    select p.id, p.name_key, p.price_amount, p.created_at
    from product as p
    where
        p.deleted_at is null
        and (p.name ilike $1 or p.description ilike $1)
        and ($2::text is null or p.category = $2)
),
sorted as (
    select f.id
    from found as f
    where
        case $3::text
            when 'name' then (f.name_key, f.id) > ($4, $7)
            when 'price' then (f.price_amount, f.id) > ($5, $7)
            when '-price' then (f.price_amount, f.id) < ($5, $7)
            when 'createdAt' then (f.created_at, f.id) > ($6, $7)
            when '-createdAt' then (f.created_at, f.id) < ($6, $7)
        end
    order by
        case when $3 = 'name' then f.name_key end,
        case when $3 = 'price' then f.price_amount end,
        case when $3 = '-price' then f.price_amount end desc,
        case when $3 = 'createdAt' then f.created_at end,
        case when $3 = '-createdAt' then f.created_at end desc,
        case when $3 not like '-%' then f.id end,
        f.id desc
    limit $8 offset $9
),
page as (
    select s.id, row_number() over () as place
    from sorted as s
)
select
    p.id, p.seller_id, p.version, p.name, p.description, p.sku, p.price_amount, p.price_currency, p.category, p.brand,
    p.supplier, p.image_url, p.created_at, p.updated_at, p.stock,
    case when $10 then array(
        select to_jsonb(t)
        from term as t
        where t.id = any(array[p.category_id, p.brand_id, p.supplier_id])
    ) end as terms
from page
join listed_product as p on p.id = page.id
order by page.place
