-- The recovery epoch of the event or quote that a copy was made of: the versions of a restored catalog start again at lower
-- numbers.
alter table product_copy add column epoch bigint not null default 0;

-- A row to store in product_copy. `copied_product` stays for the processes of the release before.
create type product_copy_of_epoch as (
    product_id uuid,
    epoch bigint,
    version bigint,
    name text,
    image_url text,
    price_amount bigint,
    price_currency text,
    deleted boolean
);
