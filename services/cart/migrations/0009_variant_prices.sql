-- Own prices of the product's variants: `{"red": {"amount": 2499, "currency": "EUR"}}`. A variant that is missing costs what the
-- product costs, or its price is not known yet.
alter table product_copy add column variant_prices jsonb not null default '{}';

-- A row to store in product_copy. `product_copy_of_epoch` stays for the processes of the release before.
create type product_copy_with_variants as (
    product_id uuid,
    epoch bigint,
    version bigint,
    name text,
    image_url text,
    price_amount bigint,
    price_currency text,
    variant_prices jsonb,
    deleted boolean
);
