-- Completes the checkouts of orders ($1) that are in progress. Writes no indexed column.
update cart_checkout
set state = 'done', updated_at = now()
where order_id = any($1) and state = 'taken'
