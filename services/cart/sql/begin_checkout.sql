-- Moves the lines ($4) of a cart ($2) of version $3 to an order ($1) and appends the events ($5).
--
-- Returns no row and writes nothing if the cart has changed or if the order has a checkout.
with changed as (
    update cart
    set version = version + 1, lines = '[]', updated_at = now()
    where id = $2 and version = $3 and not exists (select from cart_checkout where order_id = $1)
    returning id
),
begun as (
    insert into cart_checkout (order_id, state, cart_id, cart_version, lines)
    select $1, 'taken', id, $3, $4 from changed
)
select outbox_append($5) from changed
