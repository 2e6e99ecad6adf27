-- The state of the run over all users, which starts $1 after the last one ended.
select
    visited is not null as running,
    requested_at is not null and (visited is null or requested_at > started_at) as requested,
    started_at,
    finished_at,
    coalesce(finished_at + $1::interval, now()) as next_at,
    users,
    changed
from recomputation
