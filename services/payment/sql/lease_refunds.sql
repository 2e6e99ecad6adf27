-- Leases open refund attempts whose lease has expired, and skips those that another process locks.
-- $1 number of attempts at most, $2 duration of the lease.
with due as materialized (
    select payment_id, n
    from refund_attempt
    where state = 'prepared' and leased_until < now()
    order by leased_until
    limit $1::bigint
    for update skip locked
),
leased as (
    update refund_attempt as a
    set leased_until = now() + $2::interval
    from due
    where a.payment_id = due.payment_id and a.n = due.n
    returning a.payment_id, a.n, a.refund_id, a.amount_minor, a.epoch, a.state, a.reference_id, a.created_at
)
select
    l.payment_id, l.n, l.refund_id, l.amount_minor, p.currency, l.epoch, l.state, l.reference_id,
    extract(epoch from now() - l.created_at)::bigint as age_s, l.created_at
from leased as l
join payment as p on p.id = l.payment_id
