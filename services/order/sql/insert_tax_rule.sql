-- Inserts a tax rule. $1: country. $2: category. $3: basis points. $4: rounding. $5: active.
insert into tax_rule (country, category, basis_points, rounding, active)
values ($1, $2, $3, $4, $5)
returning country, category, basis_points, rounding, active, created_at, updated_at
