-- Deletes those of the pairs ($1) that are in no order any more.
delete from bought_together as b
using unnest($1::product_pair[]) as p
where b.product_id = p.product_id and b.other_id = p.other_id and b.orders = 0
