-- Leases order callbacks that are due and counts the try, and skips those that another process locks.
-- $1 number of callbacks at most, $2 duration of the lease.
update pending_order_callback
set due_at = now() + $2::interval,
    tries = tries + 1
where result_id = any (array(
    select result_id
    from pending_order_callback
    where due_at < now()
    order by due_at
    limit $1::bigint
    for update skip locked
))
returning result_id, payment_id, order_id, status
