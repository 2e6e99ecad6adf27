-- All orders, newest first: ids are UUIDv7. $1: only older than this id. $2: limit. $3: offset.
select *
from order_with_charges
where id < $1
order by id desc
limit $2 offset $3
