-- Ways in which orders are delivered. `countries`: where to; everywhere if empty.
create table shipping_method (
    code text not null,
    name text not null,
    price_minor bigint not null,
    currency text not null,
    free_from_minor bigint,
    countries text[] not null,
    active boolean not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint shipping_method_pk primary key (code),
    constraint shipping_method_code_format check (code ~ '^[a-z0-9-]{1,32}$'),
    constraint shipping_method_price_positive check (price_minor >= 0),
    constraint shipping_method_free_from_positive check (free_from_minor > 0)
);
