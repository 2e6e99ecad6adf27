-- One cart a user, what orders took out of it, and what is kept of the catalogue's products.

create table cart (
    id uuid primary key,
    user_id uuid not null,
    version bigint not null constraint cart_version_positive check (version >= 1),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint cart_user_unique unique (user_id)
) with (fillfactor = 80);

create table cart_item (
    id uuid primary key,
    cart_id uuid not null constraint cart_item_of_cart references cart (id),
    product_id uuid not null,
    variant text not null,
    quantity integer not null,
    -- What one unit cost when the shopper last changed the line.
    seen_amount bigint not null,
    seen_currency text not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint cart_item_unique unique (cart_id, product_id, variant),
    constraint cart_item_quantity_range check (quantity between 1 and 9999)
);

create index cart_item_by_product on cart_item (product_id, cart_id);

-- What an order took, or the tombstone of a taking that must never come ('returned' without a cart).
create table taking (
    order_id uuid primary key,
    state text not null constraint taking_state_known check (state in ('taken', 'returned', 'done')),
    cart_id uuid,
    cart_version bigint,
    lines jsonb not null default '[]',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint taking_of_a_version unique (cart_id, cart_version)
);

create index taking_to_forget on taking (updated_at) where state <> 'taken';

-- Products as the catalogue's facts and quotes told of them; the newest version wins, and a deleted one stays deleted.
create table product_copy (
    product_id uuid primary key,
    version bigint not null,
    name text not null,
    image_url text,
    price_amount bigint,
    price_currency text,
    deleted boolean not null
);
