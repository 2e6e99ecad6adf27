-- Orders by id. $1: ids.
select *
from order_with_lines
where id = any ($1)
