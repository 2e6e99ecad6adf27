-- Categories, brands, suppliers and locations as rows of their own, and warehouses that can be changed.
--
-- A product keeps the names of its category, brand and supplier as its version shows them; beside each stands the id of its
-- term. A new name of a term is given to its products afterwards, in batches: each gets a new version and an event.

-- What two names have in common that differ by case alone. By a collation that knows all letters, where the server has one.
do $$
declare
    collation_name text := (
        select format(' collate %I', c.collname)
        from pg_collation as c
        where
            c.collname in ('pg_c_utf8', 'und-x-icu')
            and c.collencoding in (-1, (select d.encoding from pg_database as d where d.datname = current_database()))
        order by c.collname
        limit 1
    );
begin
    execute format(
        'create function fold_name(name text) returns text language sql immutable strict parallel safe '
            'as %L',
        format('select lower(name%s)', coalesce(collation_name, ''))
    );
end
$$;

create table term (
    id uuid primary key,
    taxonomy text not null
        constraint term_taxonomy_known check (taxonomy in ('category', 'brand', 'supplier', 'location')),
    version bigint not null default 1 constraint term_version_positive check (version >= 1),
    name text not null,
    name_key text collate "C" not null generated always as (fold_name(name)) stored,
    rename_due boolean not null default false, -- some products may still have its former name
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint term_name_unique unique (taxonomy, name_key)
);

create index term_to_rename on term (updated_at) where rename_due;

alter table product
    add column category_id uuid
        constraint product_category_known references term (id) on update restrict on delete restrict,
    add column brand_id uuid
        constraint product_brand_known references term (id) on update restrict on delete restrict,
    add column supplier_id uuid
        constraint product_supplier_known references term (id) on update restrict on delete restrict;

insert into term (id, taxonomy, name)
select gen_random_uuid(), n.taxonomy, min(n.name collate "C")
from (
    select 'category' as taxonomy, p.category as name from product as p where p.deleted_at is null
    union all
    select 'brand', p.brand from product as p where p.deleted_at is null
    union all
    select 'supplier', p.supplier from product as p where p.deleted_at is null
) as n
where n.name is not null
group by n.taxonomy, fold_name(n.name);

update product as p
set
    category_id = (
        select t.id from term as t where t.taxonomy = 'category' and t.name_key = fold_name(p.category)
    ),
    brand_id = (select t.id from term as t where t.taxonomy = 'brand' and t.name_key = fold_name(p.brand)),
    supplier_id = (
        select t.id from term as t where t.taxonomy = 'supplier' and t.name_key = fold_name(p.supplier)
    )
where p.deleted_at is null and (p.category is not null or p.brand is not null or p.supplier is not null);

-- Products that write the name otherwise.
update term as t
set rename_due = true
where exists (
    select from product as p
    where
        (p.category_id = t.id and p.category <> t.name)
        or (p.brand_id = t.id and p.brand <> t.name)
        or (p.supplier_id = t.id and p.supplier <> t.name)
);

create index product_of_category on product (category_id, category) where category_id is not null;
create index product_of_brand on product (brand_id, brand) where brand_id is not null;
create index product_of_supplier on product (supplier_id, supplier) where supplier_id is not null;

create type resolved_term as (id uuid, name text);

-- The term that has the name, inserted if there is none. The lock makes a rename wait until the product with the present name
-- is committed, so that it finds the product.
create function resolve_term(of_taxonomy text, wanted text) returns resolved_term
language plpgsql strict as $$
declare
    resolved resolved_term;
begin
    loop
        select t.id, t.name into resolved
        from term as t
        where t.taxonomy = of_taxonomy and t.name_key = fold_name(wanted)
        for share;
        exit when found;
        insert into term (id, taxonomy, name)
        values (gen_random_uuid(), of_taxonomy, wanted)
        on conflict on constraint term_name_unique do nothing;
    end loop;
    return resolved;
end
$$;

-- Links a product to the terms that it names, whichever release writes it. A deleted product keeps the names alone, so that
-- its terms can be deleted.
create function link_product_terms() returns trigger language plpgsql as $$
declare
    resolved resolved_term;
begin
    if new.deleted_at is not null then
        new.category_id := null;
        new.brand_id := null;
        new.supplier_id := null;
        return new;
    end if;
    if tg_op = 'INSERT' or new.category is distinct from old.category then
        resolved := resolve_term('category', new.category);
        new.category_id := resolved.id;
        new.category := resolved.name;
    end if;
    if tg_op = 'INSERT' or new.brand is distinct from old.brand then
        resolved := resolve_term('brand', new.brand);
        new.brand_id := resolved.id;
        new.brand := resolved.name;
    end if;
    if tg_op = 'INSERT' or new.supplier is distinct from old.supplier then
        resolved := resolve_term('supplier', new.supplier);
        new.supplier_id := resolved.id;
        new.supplier := resolved.name;
    end if;
    return new;
end
$$;

create trigger product_terms_linked before insert or update of category, brand, supplier, deleted_at on product
    for each row execute function link_product_terms();

-- Products that are not deleted, with their available units and the ids of their terms.
create or replace view listed_product as
select
    p.id, p.seller_id, p.version, p.name, p.name_key, p.description, p.sku, p.price_amount, p.price_currency, p.category,
    p.brand, p.supplier, p.image_url, p.created_at, p.updated_at,
    coalesce((select sum(s.on_hand - s.reserved) from stock as s where s.product_id = p.id), 0)::bigint as stock,
    p.category_id, p.brand_id, p.supplier_id
from product as p
where p.deleted_at is null;

-- Warehouses were inserted by SQL, with names that differ by case alone if someone wrote them so.
update warehouse as w
set name = w.name || ' ' || w.id
where exists (select from warehouse as o where fold_name(o.name) = fold_name(w.name) and o.id < w.id);

alter table warehouse drop constraint warehouse_name_unique;
alter table warehouse
    add column name_key text collate "C" not null generated always as (fold_name(name)) stored,
    add column location_id uuid
        constraint warehouse_location_known references term (id) on update restrict on delete restrict,
    add column version bigint not null default 1 constraint warehouse_version_positive check (version >= 1),
    add column created_at timestamptz not null default now(),
    add column updated_at timestamptz not null default now(),
    add constraint warehouse_name_unique unique (name_key);

create index warehouse_of_location on warehouse (location_id) where location_id is not null;

-- A warehouse without stock rows can be deleted.
create index stock_of_warehouse on stock (warehouse_id);
