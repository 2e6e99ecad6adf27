-- Changes the status of a return; the units of a rejected one are not returned. $1: id. $2: status. $3: whether the units are
-- sold again. $4: time.
with changed as (
    update order_return
    set status = $2, resellable = $3, updated_at = $4
    where id = $1
    returning id, order_id, status
)
update order_item_shipped as s
set returned = s.returned - i.quantity
from changed
join order_return_item as i on i.return_id = changed.id
where changed.status = 'rejected' and s.order_id = changed.order_id and s.line = i.line
