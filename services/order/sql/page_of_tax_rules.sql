-- Tax rules after $1, which is a country, a slash and a category, or empty; by country and category. $2: limit.
select country, category, basis_points, rounding, active, created_at, updated_at
from tax_rule
where (country, category) > (split_part($1, '/', 1), split_part($1, '/', 2))
order by country, category
limit $2
