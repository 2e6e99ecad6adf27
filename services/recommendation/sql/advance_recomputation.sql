-- The instance ($1) that leads the run has visited all users up to $2 (null: all), $3 since the last report, of whom $4 have
-- another result. A request that came while it ran stays. No row: it does not lead.
update recomputation
set
    visited = $2,
    users = users + $3,
    changed = changed + $4,
    finished_at = case when $2::uuid is null then now() else finished_at end,
    requested_at = case when $2::uuid is null and requested_at <= started_at then null else requested_at end,
    lease_until = case when $2::uuid is null then null else lease_until end
where lease_owner = $1 and visited is not null
returning id
