-- The schedule of promotions: one row. The instance that moves `next_at` starts the promotion.
create table promotion_schedule (
    id boolean primary key default true constraint promotion_schedule_single check (id),
    next_at timestamptz not null default now(),
    last_product_id uuid not null default '00000000-0000-0000-0000-000000000000', -- the next promotion begins after it
    promotion_id uuid -- the present promotion
);

insert into promotion_schedule default values;
