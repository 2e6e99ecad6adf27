-- Like change_order.sql, for an order that ends without a payment and has used a coupon: gives the use back. Locks the order before
-- the coupon, as its creation does.
--
-- $1: id. $2: revision. $3: order_progress. $4: saga_state. $5: history_entry[]. $6: outbox_event[]. $7: dedup_record.
-- $8: the stored response of the request that created the order.
with changed as (
    update orders as o
    set
        status = p.status,
        payment_status = p.payment_status,
        payment_id = p.payment_id,
        hold = p.hold,
        declines = p.declines,
        version = p.version,
        event_seq = p.event_seq,
        updated_at = p.updated_at,
        phase = s.phase,
        saga = s.saga,
        next_at = s.next_at,
        lease_owner = s.lease_owner,
        lease_until = s.lease_until,
        due_at = case when s.next_at is not null then least(o.due_at, coalesce(s.lease_until, s.next_at)) end,
        revision = o.revision + 1
    from unnest(array[$3::order_progress]) as p, unnest(array[$4::saga_state]) as s
    where o.id = $1 and o.revision = $2
    returning o.id, o.revision, o.updated_at
), recorded as (
    insert into order_event (order_id, seq, kind, data, at)
    select changed.id, e.seq, e.kind, e.data, changed.updated_at
    from changed, unnest($5::history_entry[]) as e
), given_back as (
    delete from coupon_use as u
    using changed
    where u.order_id = changed.id
    returning u.code
), counted as (
    update coupon as c
    set uses = c.uses - 1
    from given_back
    where c.code = given_back.code
)
select revision, now() as now, outbox_append($6), dedup_complete($7), idempotency_complete(id, $8)
from changed
