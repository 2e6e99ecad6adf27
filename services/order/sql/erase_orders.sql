-- Removes what identifies a person from the ended orders of an erased user, in their rows and histories: the shipping
-- address and the reasons of returns. An order has ended when nothing is left to be delivered, paid, paid back or taken
-- back. Raises the revision, so that a concurrent change reads the order again. Returns the ids. $1: user. $2: limit.
with ended as (
    select o.id
    from orders as o
    where
        o.user_id = $1
        and o.status in ('completed', 'cancelled', 'rejected', 'expired', 'refunded')
        and o.payment_status <> 'processing'
        and o.phase = 'done'
        and not exists (
            select from order_return as r
            where r.order_id = o.id and r.status in ('requested', 'accepted', 'received')
        )
        and (
            o.shipping_address is not null
            or exists (select from order_return as r where r.order_id = o.id and r.reason <> '')
        )
    order by o.id
    limit $2
    for update of o
), erased as (
    update orders as o
    set shipping_address = null, revision = o.revision + 1
    from ended
    where o.id = ended.id
    returning o.id
), histories as (
    update order_event as e
    set data = order_change_without_person(e.data)
    from erased
    where e.order_id = erased.id and e.kind in ('order.created', 'return.requested')
), returns as (
    update order_return as r
    set reason = ''
    from erased
    where r.order_id = erased.id
)
select id from erased
