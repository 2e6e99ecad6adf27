-- Inserts the products ($1) that no event has named before; they are not shown until an event of the product arrives.
insert into product (product_id)
select p
from unnest($1::uuid[]) as p
order by p
on conflict (product_id) do nothing
