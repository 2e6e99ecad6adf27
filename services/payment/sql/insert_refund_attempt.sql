-- Inserts a refund attempt as `prepared`. Violates refund_attempt_once if the payment has an attempt with this number.
-- $1 payment id, $2 number of the attempt, $3 refund id, $4 amount, $5 recovery epoch, $6 duration of the lease.
with inserted as (
    insert into refund_attempt (payment_id, n, refund_id, amount_minor, epoch, state, leased_until)
    values ($1::uuid, $2::int, $3::uuid, $4::bigint, $5::bigint, 'prepared', now() + $6::interval)
    returning payment_id, n, refund_id, amount_minor, epoch, state, reference_id, created_at
)
select
    i.payment_id, i.n, i.refund_id, i.amount_minor, p.currency, i.epoch, i.state, i.reference_id,
    0::bigint as age_s, i.created_at
from inserted as i
join payment as p on p.id = i.payment_id
