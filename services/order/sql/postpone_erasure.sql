-- Sets when the worker looks at the orders of an erased user again: never once no order has personal fields, and none can be
-- created any more by a request from before the erasure. $1: user. $2: pause.
update customer as c
set erase_at = case
    when
        c.erased_at > now() - interval '1 hour'
        or exists (
            select from orders as o
            where
                o.user_id = c.user_id
                and (
                    o.shipping_address is not null
                    or exists (select from order_return as r where r.order_id = o.id and r.reason <> '')
                )
        )
    then now() + $2::interval
end
where c.user_id = $1
