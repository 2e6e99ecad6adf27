-- Moves the lines of a cart into its row and renames taking to cart_checkout.

-- A cart is read and written as a whole, guarded by its version. In its row, the lines need no index of their own.
alter table cart add column lines jsonb not null default '[]';

update cart as c
set lines = l.lines
from (
    select
        i.cart_id,
        jsonb_agg(
            jsonb_build_object(
                'id', i.id,
                'product', i.product_id,
                'variant', i.variant,
                'quantity', i.quantity,
                'seen', jsonb_build_object('amount', i.seen_amount, 'currency', i.seen_currency)
            )
            order by i.created_at, i.id
        ) as lines
    from cart_item as i
    group by i.cart_id
) as l
where l.cart_id = c.id;

drop table cart_item;

-- The id of a cart is the id of its user.
update taking as t set cart_id = c.user_id from cart as c where c.id = t.cart_id and c.id <> c.user_id;
update cart set id = user_id where id <> user_id;
alter table cart drop column user_id;

alter table taking rename to cart_checkout;
alter table cart_checkout rename constraint taking_pkey to cart_checkout_pkey;
alter table cart_checkout rename constraint taking_state_known to cart_checkout_state_known;
-- The update that empties a cart raises its version, so that no two checkouts have the same version.
alter table cart_checkout drop constraint taking_of_a_version;
-- No indexed column changes when a checkout ends: the update stays within its page.
drop index taking_to_forget;
create index cart_checkout_by_age on cart_checkout (created_at);

-- Space in each page for the next version of a row.
alter table cart set (fillfactor = 70);
alter table cart_checkout set (fillfactor = 70);

-- A row to store in product_copy. Not the row type of the table: it stays the same when a migration adds a column.
create type copied_product as (
    product_id uuid,
    version bigint,
    name text,
    image_url text,
    price_amount bigint,
    price_currency text,
    deleted boolean
);
