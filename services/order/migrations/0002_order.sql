-- Orders, their history and their sagas.

create sequence order_number start with 1000001;

-- A projection of order_event, written in the same transaction.
create table orders (
    id uuid not null,
    number text not null,
    user_id uuid not null,
    cart_id uuid,
    cart_version bigint,
    currency text not null,
    total_minor bigint not null,
    shipping_address jsonb,
    status text not null,
    payment_status text not null,
    payment_id uuid,
    hold integer not null,
    declines integer not null,
    version bigint not null,
    facts bigint not null,
    expires_at timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint orders_pk primary key (id),
    constraint orders_number unique (number),
    constraint orders_total_positive check (total_minor >= 0),
    constraint orders_cart_whole check ((cart_id is null) = (cart_version is null)),
    constraint orders_facts_known check (facts between 1 and version),
    constraint orders_status_known check (status in (
        'created', 'pending', 'paid', 'processing', 'shipped', 'completed', 'cancelled', 'rejected', 'expired', 'refunded')),
    constraint orders_payment_status_known check (payment_status in (
        'unpaid', 'processing', 'failed', 'paid', 'partially_refunded', 'refunded'))
) with (fillfactor = 80);

-- One version of a cart becomes at most one live order, whoever asks.
create unique index orders_cart_version on orders (cart_id, cart_version)
    where status not in ('rejected', 'cancelled', 'expired');

-- Ids are UUIDv7: newest first is by id.
create index orders_by_user on orders (user_id, id desc);

create table order_item (
    order_id uuid not null,
    line smallint not null,
    product_id uuid not null,
    variant text not null,
    name text not null,
    quantity integer not null,
    currency text not null,
    price_minor bigint not null,
    total_minor bigint not null,
    brand text,
    category text,
    supplier text,
    seller_id uuid not null,
    constraint order_item_pk primary key (order_id, line),
    constraint order_item_once unique (order_id, product_id, variant),
    constraint order_item_order foreign key (order_id) references orders (id),
    constraint order_item_quantity_positive check (quantity > 0),
    constraint order_item_total check (total_minor = price_minor * quantity)
);

create index order_item_by_product on order_item (product_id);

-- The source of truth: every change of an order, for ever.
create table order_event (
    order_id uuid not null,
    seq bigint not null,
    kind text not null,
    data jsonb not null,
    at timestamptz not null,
    constraint order_event_pk primary key (order_id, seq),
    constraint order_event_seq_positive check (seq > 0)
);

create function order_event_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'order_event is append-only' using errcode = 'restrict_violation', constraint = 'order_event_append_only';
end
$$;

create trigger order_event_append_only before update or delete or truncate on order_event
    for each statement execute function order_event_is_append_only();

create table saga (
    order_id uuid not null,
    phase text not null,
    data jsonb not null,
    next_at timestamptz,
    lease_owner uuid,
    lease_until timestamptz,
    constraint saga_pk primary key (order_id),
    constraint saga_order foreign key (order_id) references orders (id),
    constraint saga_phase_known check (phase in ('running', 'resting', 'done', 'stuck')),
    constraint saga_lease_whole check ((lease_owner is null) = (lease_until is null))
) with (fillfactor = 70);

create index saga_due on saga (next_at) where next_at is not null;
