-- Products, what of them lies where, who holds it, and every unit that ever came or went.

create table warehouse (
    id uuid primary key,
    name text not null,
    priority integer not null default 0, -- the lowest is emptied first
    constraint warehouse_name_unique unique (name)
);

insert into warehouse (id, name, priority) values ('00000000-0000-0000-0000-000000000001', 'main', 0);

create table product (
    id uuid primary key,
    seller_id uuid not null,
    version bigint not null constraint product_version_positive check (version >= 1),
    name text not null,
    name_key text collate "C" not null, -- what names are sorted by
    description text not null,
    sku text,
    price_amount bigint not null constraint product_price_positive check (price_amount > 0),
    price_currency text not null constraint product_currency_code check (price_currency ~ '^[A-Z]{3}$'),
    category text,
    brand text,
    supplier text,
    image_url text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);

create unique index product_sku_unique on product (sku) where deleted_at is null;
create index product_by_name on product (name_key, id) where deleted_at is null;
create index product_by_price on product (price_amount, id) where deleted_at is null;
create index product_by_creation on product (created_at, id) where deleted_at is null;
create index product_by_category on product (category, created_at, id) where deleted_at is null;

create table stock (
    product_id uuid not null constraint stock_product_known references product (id),
    variant text not null default '',
    warehouse_id uuid not null constraint stock_warehouse_known references warehouse (id),
    on_hand bigint not null,
    reserved bigint not null default 0,
    version bigint not null,
    primary key (product_id, variant, warehouse_id),
    constraint stock_never_oversold check (0 <= reserved and reserved <= on_hand)
) with (fillfactor = 70); -- every hold rewrites its rows: room for them on their own page

-- A hold of an order, or the tombstone of one that must never come.
create table hold (
    order_id uuid not null,
    hold integer not null constraint hold_from_one check (hold >= 1),
    state text not null
        constraint hold_state_known check (state in ('held', 'committed', 'released', 'expired', 'tombstone')),
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (order_id, hold),
    constraint hold_ends check (expires_at is not null or state = 'tombstone')
) with (fillfactor = 80);

create index hold_to_expire on hold (expires_at) where state = 'held';

-- What a hold takes from where.
create table reservation (
    order_id uuid not null,
    hold integer not null,
    product_id uuid not null,
    variant text not null,
    warehouse_id uuid not null,
    quantity bigint not null constraint reservation_positive check (quantity > 0),
    state text not null
        constraint reservation_state_known check (state in ('held', 'committed', 'released', 'expired')),
    expires_at timestamptz not null,
    constraint reservation_unique primary key (order_id, hold, product_id, variant, warehouse_id),
    constraint reservation_of_hold foreign key (order_id, hold) references hold (order_id, hold)
) with (fillfactor = 80);

create index reservation_by_place on reservation (product_id, variant, warehouse_id) where state = 'held';

-- Every unit that came or went: the sum over a place is what is on hand there. Append-only.
create table stock_movement (
    id bigint generated always as identity primary key,
    product_id uuid not null,
    variant text not null,
    warehouse_id uuid not null,
    kind text not null
        constraint stock_movement_kind_known check (kind in ('receipt', 'adjust', 'commit', 'return')),
    quantity bigint not null constraint stock_movement_moves check (quantity <> 0),
    order_id uuid,
    actor text,
    at timestamptz not null default now()
);

create index stock_movement_by_place on stock_movement (product_id, variant, warehouse_id);

create function stock_movement_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'stock_movement is append-only: % is refused', tg_op using errcode = 'restrict_violation';
end
$$;

create trigger stock_movement_append_only before update or delete on stock_movement
    for each row execute function stock_movement_is_append_only();
create trigger stock_movement_never_truncated before truncate on stock_movement
    for each statement execute function stock_movement_is_append_only();

-- The last place given to a fact of inventory-events, per aggregate (a product, or an order for its expired holds):
-- facts of one aggregate are counted without gaps whichever stock row they are about.
create table inventory_seq (
    aggregate_id uuid primary key,
    seq bigint not null
) with (fillfactor = 70);
