-- Gives the products $1, which the transaction has locked or inserted, these prices and no others.
-- $2 product, $3 currency and $4 amount of each.
with removed as (
    delete from product_price as m
    where
        m.product_id = any($1)
        and not exists (
            select from unnest($2::uuid[], $3::text[]) as w (product_id, currency)
            where w.product_id = m.product_id and w.currency = m.currency
        )
)
insert into product_price as m (product_id, currency, amount)
select w.product_id, w.currency, w.amount
from unnest($2::uuid[], $3::text[], $4::bigint[]) as w (product_id, currency, amount)
on conflict on constraint product_price_pk do update
set amount = excluded.amount
where m.amount <> excluded.amount
