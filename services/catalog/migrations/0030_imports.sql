-- Imports of products: how many lines of each are in, so that a repetition continues after them.

create table product_import (
    id uuid not null,
    started_by uuid not null, -- the user
    lines bigint not null default 0, -- lines that were handled, from the first
    digest bytea not null default '', -- of these lines, so that a repetition with others is refused
    created bigint not null default 0,
    updated bigint not null default 0,
    unchanged bigint not null default 0,
    failed bigint not null default 0,
    runner uuid, -- the request that handles lines, until the end of its lease
    lease_until timestamptz,
    started_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    completed_at timestamptz,
    constraint product_import_pk primary key (id),
    constraint product_import_sums check (lines = created + updated + unchanged + failed)
);

create index product_import_by_age on product_import (changed_at);

-- The first wrong lines of an import.
create table product_import_fault (
    import_id uuid not null
        constraint product_import_fault_of references product_import (id) on update restrict on delete cascade,
    line bigint not null,
    reason text not null,
    constraint product_import_fault_pk primary key (import_id, line)
);

-- A product as it is written, in an array of many.
create type product_row as (
    id uuid,
    seller_id uuid,
    version bigint,
    name text,
    name_key text,
    description text,
    sku text,
    price_amount bigint,
    price_currency text,
    category text,
    brand text,
    supplier text,
    image_url text
);
