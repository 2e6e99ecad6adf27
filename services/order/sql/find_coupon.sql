-- A coupon. $1: code.
select
    code, basis_points, amount_minor, currency, minimum_minor, minimum_currency, valid_from, valid_until, uses_max,
    uses_per_user_max, uses, active, created_at, updated_at
from coupon
where code = $1
