-- Changes a tax rule. $1: country. $2: basis points. $3: rounding. $4: active.
update tax_rule
set basis_points = $2, rounding = $3, active = $4, updated_at = now()
where country = $1
returning country, basis_points, rounding, active, created_at, updated_at
