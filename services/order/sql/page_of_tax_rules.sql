-- Tax rules after country $1, by country. $2: limit.
select country, basis_points, rounding, active, created_at, updated_at
from tax_rule
where country > $1
order by country
limit $2
