-- The newest payment of an order that was captured: one with an amount that is not refunded, if there is one.
-- $1 order id.
select *
from payment_record
where order_id = $1::uuid and status in ('captured', 'partially_refunded', 'refunded')
order by status = 'refunded', id desc
limit 1
