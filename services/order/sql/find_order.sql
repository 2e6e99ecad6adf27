-- An order, and the result that is stored for a message. $1: id. $2 and $3: consumer and id of the message, or null.
select o.*, i.event_id is not null as is_duplicate, i.value
from order_with_charges as o
left join inbox as i on i.consumer = $2 and i.event_id = $3
where o.id = $1
