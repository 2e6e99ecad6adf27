-- The unpaid orders of a user, which hold stock. Few at a time, as they end within the payment window.
create index orders_unpaid on orders (user_id) where status in ('created', 'pending');

-- The number and the units of a user's unpaid orders except one, after those that other transactions are writing: of parallel orders
-- of one user, each waits for the others. Volatile, so that it reads what they have committed, and not what was there when
-- the calling statement began.
create function unpaid_orders(owner uuid, other_than uuid, out orders bigint, out units bigint)
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 0));
    select count(distinct o.id), coalesce(sum(i.quantity), 0)
    into orders, units
    from orders as o
    join order_item as i on i.order_id = o.id
    where o.user_id = owner and o.id <> other_than and o.status in ('created', 'pending');
end
$$;
