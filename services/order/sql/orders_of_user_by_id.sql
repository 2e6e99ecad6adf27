-- Orders of a user ($2), or of any user if null, by id. $1: ids.
select *
from order_with_charges
where id = any ($1) and ($2::uuid is null or user_id = $2)
