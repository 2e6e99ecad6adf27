-- The latest orders with their lines and their users: ids are UUIDv7. $1: limit.
select o.*, c.email as customer_email, c.name as customer_name
from order_with_charges as o
left join customer as c on c.user_id = o.user_id
order by o.id desc
limit $1
