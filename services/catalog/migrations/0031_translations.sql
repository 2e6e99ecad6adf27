-- Names and descriptions of products in languages other than the shop's own, which `product` has.

create table product_translation (
    product_id uuid not null
        constraint product_translation_of references product (id) on update restrict on delete cascade,
    language text collate "C" not null, -- a BCP 47 tag
    name text not null,
    description text not null,
    constraint product_translation_pk primary key (product_id, language)
);

-- Products that are not deleted, with their available units, the ids of their terms, and their translations by language. A
-- statement that does not read a column does not compute it.
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
    ) as translations
from product as p
where p.deleted_at is null;
