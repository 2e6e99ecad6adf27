-- Adds units ($1) to those sold of locked products.
update product as p
set units_sold = p.units_sold + u.units
from unnest($1::product_units[]) as u
where p.product_id = u.product_id
