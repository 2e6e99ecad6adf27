-- Prices of products in currencies other than their own, which `product` has.

create table product_price (
    product_id uuid not null
        constraint product_price_of references product (id) on update restrict on delete cascade,
    currency text collate "C" not null constraint product_price_currency_code check (currency ~ '^[A-Z]{3}$'),
    amount bigint not null constraint product_price_amount_positive check (amount > 0),
    constraint product_price_pk primary key (product_id, currency)
);

-- Products that are not deleted, with their available units, the ids of their terms, their translations by language and their
-- prices by currency. A statement that does not read a column does not compute it.
create or replace view listed_product as
select
    p.id, p.seller_id, p.version, p.name, p.name_key, p.description, p.sku, p.price_amount, p.price_currency, p.category,
    p.brand, p.supplier, p.image_url, p.created_at, p.updated_at,
    coalesce((select sum(s.on_hand - s.reserved) from stock as s where s.product_id = p.id), 0)::bigint as stock,
    p.category_id, p.brand_id, p.supplier_id,
    (
        select json_object_agg(t.language, json_build_object('name', t.name, 'description', t.description))
        from product_translation as t
        where t.product_id = p.id
    ) as translations,
    (
        select json_object_agg(m.currency, m.amount)
        from product_price as m
        where m.product_id = p.id
    ) as prices
from product as p
where p.deleted_at is null;
