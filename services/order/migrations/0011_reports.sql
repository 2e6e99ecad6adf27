-- Users as the user service announces them, for reports; and what sold most.

create table customer (
    user_id uuid not null,
    email text not null,
    name text,
    epoch bigint not null,
    seq bigint not null,
    constraint customer_pk primary key (user_id)
);

-- Orders that are not paid, or whose money went back, sold nothing. A product that was renamed has its last name.
create materialized view top_product as
select
    i.product_id,
    i.currency,
    (array_agg(i.name order by i.order_id desc))[1] as name,
    (array_agg(i.brand order by i.order_id desc))[1] as brand,
    (array_agg(i.category order by i.order_id desc))[1] as category,
    (array_agg(i.supplier order by i.order_id desc))[1] as supplier,
    sum(i.quantity)::bigint as units,
    count(distinct i.order_id) as orders,
    sum(i.total_minor)::bigint as revenue_minor
from order_item as i
join orders as o on o.id = i.order_id
where o.status in ('paid', 'processing', 'shipped', 'completed')
group by i.product_id, i.currency;

-- Unique, because a concurrent refresh needs it.
create unique index top_product_pk on top_product (product_id, currency);
create index top_product_by_units on top_product (units desc, product_id, currency);

-- When the views were refreshed, and until when one process refreshes them.
create table report_refresh (
    report text not null,
    refreshed_at timestamptz not null,
    lease_until timestamptz,
    constraint report_refresh_pk primary key (report)
);

insert into report_refresh (report, refreshed_at) values ('top_product', now());
