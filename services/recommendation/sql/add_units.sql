-- Adds units ($1) to those sold of locked products. Returns whether each is a best seller now and was none before, or the reverse.
update product as p
set units_sold = p.units_sold + u.units
from unnest($1::product_units[]) as u
where p.product_id = u.product_id
returning (p.units_sold > 0) <> (p.units_sold - u.units > 0)
