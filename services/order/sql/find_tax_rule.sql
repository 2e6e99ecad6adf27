-- A tax rule. $1: country.
select country, basis_points, rounding, active, created_at, updated_at
from tax_rule
where country = $1
