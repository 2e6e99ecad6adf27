-- The newest payment of an order that was captured, even if it was refunded since.
-- $1 order id.
select *
from payment_record
where order_id = $1::uuid and status in ('captured', 'partially_refunded', 'refunded')
order by id desc
limit 1
