-- Releases the lease of an order if $2 holds it, so that the worker can continue at once.
update orders
set lease_owner = null, lease_until = null, due_at = least(due_at, next_at), revision = revision + 1
where id = $1 and lease_owner = $2
