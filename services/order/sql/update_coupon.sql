-- Changes a coupon. $1: code. $2 and $3: minimum of the lines' sum. $4 and $5: first and last time. $6: uses in all. $7: uses
-- of one user. $8: active.
update coupon
set
    minimum_minor = $2,
    minimum_currency = $3,
    valid_from = $4,
    valid_until = $5,
    uses_max = $6,
    uses_per_user_max = $7,
    active = $8,
    updated_at = now()
where code = $1
returning
    code, basis_points, amount_minor, currency, minimum_minor, minimum_currency, valid_from, valid_until, uses_max,
    uses_per_user_max, uses, active, created_at, updated_at
