-- Carts of visitors without a login.
create table guest_cart (
    id uuid not null,
    -- SHA-256 of the token, which the visitor alone has.
    token_hash bytea not null,
    version bigint not null default 0,
    lines jsonb not null default '[]',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint guest_cart_pkey primary key (id),
    constraint guest_cart_token_unique unique (token_hash),
    constraint guest_cart_token_length check (octet_length(token_hash) = 32)
) with (fillfactor = 70);

-- A cart expires after its creation: no index has the time of its last change, so that a change stays within its page.
create index guest_cart_by_age on guest_cart (created_at);
