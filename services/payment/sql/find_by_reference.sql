-- The payment whose charge has a reference of the provider.
-- $1 reference.
select *
from payment_record
where reference_id = $1::text
limit 1
