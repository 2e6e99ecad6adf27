-- Payments of one payer, newest first: ids are UUIDv7.
-- $1 id before which the page begins, $2 number of payments at most, $3 payer.
select *
from payment_record
where user_id = $3::uuid and id < $1::uuid
order by id desc
limit $2::bigint
