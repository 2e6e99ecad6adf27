-- Payments of one order, of one payer unless $4 is null, newest first: ids are UUIDv7.
-- $1 id before which the page begins, $2 number of payments at most, $3 order, $4 payer.
select *
from payment_record
where order_id = $3::uuid and ($4::uuid is null or user_id = $4::uuid) and id < $1::uuid
order by id desc
limit $2::bigint
