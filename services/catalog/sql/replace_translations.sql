-- Gives the products $1, which the transaction has locked or inserted, these translations and no others.
-- $2 product, $3 language, $4 name and $5 description of each.
with removed as (
    delete from product_translation as t
    where
        t.product_id = any($1)
        and not exists (
            select from unnest($2::uuid[], $3::text[]) as w (product_id, language)
            where w.product_id = t.product_id and w.language = t.language
        )
)
insert into product_translation as t (product_id, language, name, description)
select w.product_id, w.language, w.name, w.description
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as w (product_id, language, name, description)
on conflict on constraint product_translation_pk do update
set name = excluded.name, description = excluded.description
where (t.name, t.description) is distinct from (excluded.name, excluded.description)
