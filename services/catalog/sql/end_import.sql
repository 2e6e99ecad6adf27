-- Ends the lease of request $2 on import $1; $3: all lines are in.
update product_import
set
    runner = null, lease_until = null, changed_at = now(),
    completed_at = case when $3 then coalesce(completed_at, now()) else completed_at end
where id = $1 and runner = $2
