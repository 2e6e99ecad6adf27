-- Sets due_at of orders that have no step to take yet, at most $1: see the index orders_due.
with early as (
    select id
    from orders
    where due_at <= now() and next_at > now() and (lease_until is null or lease_until <= now())
    order by due_at
    limit $1
    for update skip locked
)
update orders as o
set due_at = o.next_at
from early
where o.id = early.id
