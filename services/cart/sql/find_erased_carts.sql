-- Carts of erased users ($1 at most) that are to be looked at once more.
select cart_id
from erased_cart
where look_at <= now()
order by look_at
limit $1
