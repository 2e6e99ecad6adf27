-- What users bought, what the catalog sells, which products are bought together, and what each user was recommended last.

-- The newest event of an order. `counted`: it was placed, and neither cancelled, expired nor refunded.
create table purchase (
    order_id uuid primary key,
    user_id uuid not null,
    epoch bigint not null,
    seq bigint not null,
    counted boolean not null,
    changed_at timestamptz not null,
    lines jsonb not null
) with (fillfactor = 80);

create index purchase_of_user on purchase (user_id, changed_at desc, order_id) where counted;

-- A product of the catalog. Version 0: no event of the product has arrived, but one of its stock or of an order has.
create table product (
    product_id uuid primary key,
    epoch bigint not null default 0,
    version bigint not null default 0,
    name text not null default '',
    category text,
    image_url text,
    price_amount bigint,
    price_currency text,
    deleted boolean not null default false,
    in_stock boolean not null default false,
    units_sold bigint not null default 0,
    positive_votes bigint not null default 0 constraint product_positive_votes check (positive_votes >= 0),
    negative_votes bigint not null default 0 constraint product_negative_votes check (negative_votes >= 0),
    -- positive / total × (1 − 1 / (1 + total)), which is 0 without votes.
    score double precision not null
        generated always as (positive_votes::double precision / (1 + positive_votes + negative_votes)) stored,
    shown boolean not null generated always as (version > 0 and not deleted and in_stock) stored
) with (fillfactor = 80);

create index product_by_category on product (category, score desc, units_sold desc, product_id) where shown;
create index product_best_sellers on product (units_sold desc, product_id) where shown;

-- Stock of a product in one warehouse, by its newest event.
create table stock_level (
    product_id uuid not null,
    variant text not null,
    warehouse_id uuid not null,
    epoch bigint not null,
    version bigint not null,
    available bigint not null,
    constraint stock_level_pk primary key (product_id, variant, warehouse_id)
) with (fillfactor = 80);

-- In how many counted orders two products are together; one row for each direction.
create table bought_together (
    product_id uuid not null,
    other_id uuid not null,
    orders bigint not null,
    constraint bought_together_pk primary key (product_id, other_id)
) with (fillfactor = 80);

create index bought_together_most on bought_together (product_id, orders desc, other_id);

create table feedback (
    user_id uuid not null,
    product_id uuid not null,
    positive boolean not null,
    voted_at timestamptz not null default now(),
    constraint feedback_pk primary key (user_id, product_id)
);

-- What the last event of each user with a purchase recommended. `version` numbers the events.
create table recommendation (
    user_id uuid primary key,
    version bigint not null default 0,
    product_ids uuid[] not null default '{}',
    -- When the user's recommendations are to be computed again, outside of the scheduled runs.
    due_at timestamptz,
    -- Rises whenever they become due.
    revision bigint not null default 1
) with (fillfactor = 80);

create index recommendation_due on recommendation (due_at) where due_at is not null;

-- The run that computes everybody's recommendations again; one row.
create table recomputation (
    id boolean primary key default true constraint recomputation_single check (id),
    -- A run that an administrator asked for.
    requested_at timestamptz,
    -- Scheduled runs until everything is up to date: two after each change of products, purchases or votes, because the
    -- first may start before the change is committed.
    runs_due smallint not null default 2,
    started_at timestamptz,
    finished_at timestamptz,
    -- The last user that the present run has visited; null: none runs.
    visited uuid,
    users bigint not null default 0,
    changed bigint not null default 0,
    -- The instance that runs it.
    lease_owner uuid,
    lease_until timestamptz
);

insert into recomputation default values;

-- Rows to store; not the row types of the tables, so that they stay the same when a migration adds a column.
create type purchase_row as (
    order_id uuid,
    user_id uuid,
    epoch bigint,
    seq bigint,
    counted boolean,
    changed_at timestamptz,
    lines jsonb
);

create type product_row as (
    product_id uuid,
    epoch bigint,
    version bigint,
    name text,
    category text,
    image_url text,
    price_amount bigint,
    price_currency text,
    deleted boolean
);

create type stock_row as (
    product_id uuid,
    variant text,
    warehouse_id uuid,
    epoch bigint,
    version bigint,
    available bigint
);

create type product_units as (product_id uuid, units bigint);

create type product_pair as (product_id uuid, other_id uuid, orders bigint);
