-- The log of a payment, oldest first.
-- $1 payment id, $2 number of entries at most.
select at, kind, amount_minor, currency, reference_id, nullif(log_message, '') as log_message
from payment_logs
where payment_id = $1::uuid
order by at, place
limit $2::bigint
