-- Payments, newest first: ids are UUIDv7.
-- $1 id before which the page begins, $2 number of payments at most.
select *
from payment_record
where id < $1::uuid
order by id desc
limit $2::bigint
