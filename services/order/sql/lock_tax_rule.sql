-- A tax rule, locked until the transaction ends. $1: country. $2: category.
select country, category, basis_points, rounding, active, created_at, updated_at
from tax_rule
where country = $1 and category = $2
for update
