-- Orders of a user, newest first: ids are UUIDv7. $1: user. $2: only older than this id. $3: limit. $4: offset.
select *
from order_with_charges
where user_id = $1 and id < $2
order by id desc
limit $3 offset $4
