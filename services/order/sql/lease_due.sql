-- Leases orders with a due step and without a runner, the longest waiting first. $1: owner. $2: limit. $3: duration.
with due as (
    select id
    from orders
    where due_at <= now() and next_at <= now() and (lease_until is null or lease_until <= now())
    order by due_at
    limit $2
    for update skip locked
), leased as (
    update orders as o
    set lease_owner = $1, lease_until = now() + $3::interval, due_at = now() + $3::interval, revision = o.revision + 1
    from due
    where o.id = due.id
    returning o.id, o.lease_owner, o.lease_until, o.revision
)
-- The view reads the rows as they were before.
select o.*, leased.lease_owner as new_owner, leased.lease_until as new_until, leased.revision as new_revision
from order_with_charges as o
join leased on leased.id = o.id
