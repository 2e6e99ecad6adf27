-- Changes a tax rule. $1: country. $2: category. $3: basis points. $4: rounding. $5: active.
update tax_rule
set basis_points = $3, rounding = $4, active = $5, updated_at = now()
where country = $1 and category = $2
returning country, category, basis_points, rounding, active, created_at, updated_at
