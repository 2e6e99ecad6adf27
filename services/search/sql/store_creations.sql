-- Sets when the products $1 were created ($2), where an event that arrived before the one of the creation set a later time.
update product_entry as e
set created_at = c.created_at
from unnest($1::uuid[], $2::timestamptz[]) as c (product_id, created_at)
where
    e.generation in (select g.number from index_generation as g)
    and e.product_id = c.product_id and e.created_at > c.created_at
