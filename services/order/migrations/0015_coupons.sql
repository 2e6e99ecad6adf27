-- Coupons, their uses, and what an order costs beside its lines.

-- The discount and other charges as they were fixed at creation; null for an order that costs the sum of its lines.
alter table orders add column charges jsonb;

-- Orders with their lines and charges, and the time of the statement that reads them. The view order_with_lines stays for
-- processes of the release before.
create view order_with_charges as
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

-- `basis_points` of the lines' sum, or a fixed amount. The constraints hold whatever writes the table.
create table coupon (
    code text not null,
    basis_points integer,
    amount_minor bigint,
    currency text,
    minimum_minor bigint,
    minimum_currency text,
    valid_from timestamptz,
    valid_until timestamptz,
    uses_max integer,
    uses_per_user_max integer,
    uses integer not null default 0,
    active boolean not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint coupon_pk primary key (code),
    constraint coupon_code_format check (code ~ '^[A-Z0-9-]{3,32}$'),
    constraint coupon_one_value check ((basis_points is null) <> (amount_minor is null)),
    constraint coupon_basis_points_known check (basis_points between 1 and 10000),
    constraint coupon_amount_positive check (amount_minor > 0),
    constraint coupon_amount_whole check ((amount_minor is null) = (currency is null)),
    constraint coupon_minimum_whole check ((minimum_minor is null) = (minimum_currency is null)),
    constraint coupon_limits_positive check (uses_max > 0 and uses_per_user_max > 0),
    constraint coupon_uses_within_limit check (uses >= 0 and (uses_max is null or uses <= uses_max))
) with (fillfactor = 70);

-- Orders that use a coupon and were neither rejected, nor cancelled or expired before their payment.
create table coupon_use (
    order_id uuid not null,
    code text not null,
    user_id uuid not null,
    used_at timestamptz not null,
    constraint coupon_use_pk primary key (order_id),
    constraint coupon_use_order foreign key (order_id) references orders (id) on delete restrict,
    constraint coupon_use_coupon foreign key (code) references coupon (code) on delete restrict
);

create index coupon_use_by_user on coupon_use (code, user_id);

-- Codes that a user sent and that are no coupons, counted from `since` on.
create table coupon_guess (
    user_id uuid not null,
    wrong integer not null,
    since timestamptz not null,
    constraint coupon_guess_pk primary key (user_id)
);

create index coupon_guess_by_age on coupon_guess (since);

-- What is refunded for the units of a line, where that is not their price.
alter table order_return_item add column amount_minor bigint;
