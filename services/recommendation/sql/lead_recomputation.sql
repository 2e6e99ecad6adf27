-- Gives an instance ($1) the lease of the run for $2, and starts a run if one is requested, or if the last one ended $3 ago and
-- something changed since.
-- Returns the last visited user. No row: another instance has the lease, or there is nothing to run.
update recomputation
set
    lease_owner = $1,
    lease_until = now() + $2::interval,
    visited = coalesce(visited, '00000000-0000-0000-0000-000000000000'),
    runs_due = case when visited is null then greatest(runs_due - 1, 0) else runs_due end,
    started_at = case when visited is null then now() else started_at end,
    users = case when visited is null then 0 else users end,
    changed = case when visited is null then 0 else changed end
where
    (lease_until is null or lease_until <= now() or lease_owner = $1)
    and (
        visited is not null
        or requested_at is not null
        or (runs_due > 0 and coalesce(finished_at, '-infinity') <= now() - $3::interval)
    )
returning visited
