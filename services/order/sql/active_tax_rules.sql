-- The active tax rules: at most one per country and category.
select country, category, basis_points, rounding, active, created_at, updated_at
from tax_rule
where active
order by country, category
