-- Inserts a coupon that was never used. $1: code. $2: basis points. $3 and $4: fixed amount. $5 and $6: minimum of the lines'
-- sum. $7 and $8: first and last time. $9: uses in all. $10: uses of one user. $11: active.
insert into coupon (
    code, basis_points, amount_minor, currency, minimum_minor, minimum_currency, valid_from, valid_until, uses_max,
    uses_per_user_max, active
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
returning
    code, basis_points, amount_minor, currency, minimum_minor, minimum_currency, valid_from, valid_until, uses_max,
    uses_per_user_max, uses, active, created_at, updated_at
