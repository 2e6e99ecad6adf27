-- An order and its saga in one row, and the types in which rows travel.

alter table orders rename column facts to event_seq;
alter table orders rename constraint orders_facts_known to orders_event_seq_known;

alter table orders
    add column phase text,
    add column saga jsonb,
    add column next_at timestamptz,
    add column due_at timestamptz,
    add column lease_owner uuid,
    add column lease_until timestamptz,
    add column revision bigint not null default 1;

update orders
set
    phase = case saga.phase when 'resting' then 'waiting' else saga.phase end,
    saga = saga.data,
    next_at = saga.next_at,
    due_at = saga.next_at,
    lease_owner = saga.lease_owner,
    lease_until = saga.lease_until,
    revision = saga.revision
from saga
where saga.order_id = orders.id;

alter table orders
    alter column phase set not null,
    alter column saga set not null,
    add constraint orders_phase_known check (phase in ('running', 'waiting', 'done', 'stuck')),
    add constraint orders_lease_whole check ((lease_owner is null) = (lease_until is null)),
    add constraint orders_due_while_not_done check ((due_at is null) = (next_at is null)),
    set (fillfactor = 60);

drop table saga;

-- When the worker looks at the order: never later than next_at or, while leased, lease_until. It is earlier when it can be,
-- because a change of an indexed column writes every index of the row: the steps of an order leave it as it is, and the
-- worker postpones it.
create index orders_due on orders (due_at) where due_at is not null;

-- Lines are written with their order, by one statement; the domain rejects a product that is listed twice.
drop index order_item_by_product;
alter table order_item drop constraint order_item_order, drop constraint order_item_once;

create type order_line as (
    product_id uuid,
    variant text,
    name text,
    quantity integer,
    price_minor bigint,
    total_minor bigint,
    brand text,
    category text,
    supplier text,
    seller_id uuid
);

-- What is fixed when an order is created.
create type order_head as (
    number text,
    user_id uuid,
    cart_id uuid,
    cart_version bigint,
    currency text,
    total_minor bigint,
    shipping_address jsonb,
    expires_at timestamptz,
    created_at timestamptz
);

-- What changes.
create type order_progress as (
    status text,
    payment_status text,
    payment_id uuid,
    hold integer,
    declines integer,
    version bigint,
    event_seq bigint,
    updated_at timestamptz
);

create type saga_state as (
    phase text,
    saga jsonb,
    next_at timestamptz,
    lease_owner uuid,
    lease_until timestamptz
);

create type history_entry as (
    seq bigint,
    kind text,
    data jsonb
);

-- An order with its lines and the time of the statement that reads it.
create view order_with_lines as
select
    o.*,
    now() as now,
    array(
        select
            row (
                i.product_id, i.variant, i.name, i.quantity, i.price_minor, i.total_minor, i.brand, i.category, i.supplier,
                i.seller_id
            )::order_line
        from order_item as i
        where i.order_id = o.id
        order by i.line
    ) as lines
from orders as o;
