-- Variants of products: options, a stock keeping unit and a price of their own. Their stock is in `stock`, by name.

create table variant (
    id uuid primary key,
    product_id uuid not null
        constraint variant_product_known references product (id) on update restrict on delete restrict,
    version bigint not null default 1 constraint variant_version_positive check (version >= 1),
    name text collate "C" not null constraint variant_has_name check (name <> ''),
    sku text,
    price_amount bigint constraint variant_price_positive check (price_amount > 0), -- null: the product's price
    options jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);

create unique index variant_name_unique on variant (product_id, name) where deleted_at is null;
create unique index variant_sku_unique on variant (sku) where deleted_at is null;
create index variant_of_product on variant (product_id);

insert into variant (id, product_id, name)
select gen_random_uuid(), s.product_id, s.variant
from (select distinct s.product_id, s.variant from stock as s where s.variant <> '') as s
join product as p on p.id = s.product_id
where p.deleted_at is null;

-- A variant that has units exists, whichever release or order brings them.
create function add_stocked_variant() returns trigger language plpgsql as $$
begin
    insert into variant (id, product_id, name)
    values (gen_random_uuid(), new.product_id, new.variant)
    on conflict (product_id, name) where deleted_at is null do nothing;
    return null;
end
$$;

create trigger stock_has_variant after insert on stock
    for each row when (new.variant <> '') execute function add_stocked_variant();
create trigger stock_regains_variant after update of on_hand on stock
    for each row when (new.variant <> '' and old.on_hand = 0 and new.on_hand > 0) execute function add_stocked_variant();

-- A stock keeping unit identifies a product or a variant, never both. The lock makes concurrent writers of one wait for each
-- other, so that the second one sees the first.
create function sku_is_not_of_a_variant() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('sku ' || new.sku, 0));
    if exists (select from variant as v where v.sku = new.sku and v.deleted_at is null) then
        raise exception 'SKU in use by a variant' using errcode = 'unique_violation', constraint = 'product_sku_unique';
    end if;
    return new;
end
$$;

create function sku_is_not_of_a_product() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('sku ' || new.sku, 0));
    if exists (select from product as p where p.sku = new.sku and p.deleted_at is null) then
        raise exception 'SKU in use by a product' using errcode = 'unique_violation', constraint = 'variant_sku_unique';
    end if;
    return new;
end
$$;

create trigger product_sku_of_no_variant before insert on product
    for each row when (new.sku is not null) execute function sku_is_not_of_a_variant();
create trigger product_sku_still_of_no_variant before update of sku on product
    for each row when (new.sku is not null and new.sku is distinct from old.sku) execute function sku_is_not_of_a_variant();
create trigger variant_sku_of_no_product before insert on variant
    for each row when (new.sku is not null) execute function sku_is_not_of_a_product();
create trigger variant_sku_still_of_no_product before update of sku on variant
    for each row when (new.sku is not null and new.sku is distinct from old.sku) execute function sku_is_not_of_a_product();

-- A deleted product has no variants, so that their stock keeping units can be used again.
create function delete_variants() returns trigger language plpgsql as $$
begin
    update variant set deleted_at = now(), updated_at = now(), version = version + 1
    where product_id = new.id and deleted_at is null;
    return null;
end
$$;

create trigger product_variants_deleted after update of deleted_at on product
    for each row when (old.deleted_at is null and new.deleted_at is not null) execute function delete_variants();
