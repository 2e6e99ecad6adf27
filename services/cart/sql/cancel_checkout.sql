-- Cancels the checkout of an order ($1): writes its cart ($2) with the new version ($3) and lines ($4) and appends the
-- events ($5).
--
-- Returns no row and writes nothing if the checkout is not in progress or if the cart does not have the previous version.
with in_progress as (
    select from cart_checkout where order_id = $1 and state = 'taken' for no key update
),
changed as (
    insert into cart as c (id, version, lines)
    select $2, $3, $4 from in_progress
    on conflict on constraint cart_pkey do update
        set version = excluded.version, lines = excluded.lines, updated_at = now()
        where c.version = excluded.version - 1
    returning id
),
cancelled as (
    update cart_checkout
    set state = 'returned', updated_at = now()
    where order_id = $1 and exists (select from changed)
)
select outbox_append($5) from changed
