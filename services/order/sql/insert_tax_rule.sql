-- Inserts a tax rule. $1: country. $2: basis points. $3: rounding. $4: active.
insert into tax_rule (country, basis_points, rounding, active)
values ($1, $2, $3, $4)
returning country, basis_points, rounding, active, created_at, updated_at
