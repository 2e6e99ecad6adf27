-- Carts of erased users ($1) were looked at once more.
update erased_cart
set look_at = null
where cart_id = any($1) and look_at <= now()
