-- Changes the saga alone of an order that was read at a revision. Returns no row if the order was changed since.
--
-- $1: id. $2: revision. $3: saga_state. $4: dedup_record. $5: the stored response of the request that created the order.
with changed as (
    update orders as o
    set
        phase = s.phase,
        saga = s.saga,
        next_at = s.next_at,
        lease_owner = s.lease_owner,
        lease_until = s.lease_until,
        due_at = case when s.next_at is not null then least(o.due_at, coalesce(s.lease_until, s.next_at)) end,
        revision = o.revision + 1
    from unnest(array[$3::saga_state]) as s
    where o.id = $1 and o.revision = $2
    returning o.id, o.revision
)
select revision, now() as now, dedup_complete($4), idempotency_complete(id, $5)
from changed
