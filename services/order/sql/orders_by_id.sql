-- Orders by id. $1: ids.
select *
from order_with_charges
where id = any ($1)
