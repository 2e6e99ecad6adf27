-- Returns of orders, in the sequence in which they were added. $1: ids of orders.
select
    r.order_id, r.id, r.status, r.reason, r.amount_minor, r.resellable, r.created_at, r.updated_at,
    array(select i.line from order_return_item as i where i.return_id = r.id order by i.line) as lines,
    array(select i.quantity from order_return_item as i where i.return_id = r.id order by i.line) as quantities,
    array(
        select i.amount_minor
        from order_return_item as i
        where i.return_id = r.id and i.amount_minor is not null
        order by i.line
    ) as amounts
from order_return as r
where r.order_id = any ($1)
order by r.order_id, r.seq
