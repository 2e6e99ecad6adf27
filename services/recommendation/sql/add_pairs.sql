-- Adds orders to the counts of products bought together ($1).
insert into bought_together as b (product_id, other_id, orders)
select p.product_id, p.other_id, p.orders
from unnest($1::product_pair[]) as p
order by p.product_id, p.other_id
on conflict on constraint bought_together_pk do update set orders = b.orders + excluded.orders
