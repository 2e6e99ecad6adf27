-- Counts one more use of a coupon and locks it until the transaction ends. Returns the limit of uses of one user; no row if the
-- coupon is used up or not active. $1: code.
update coupon
set uses = uses + 1
where code = $1 and active and (uses_max is null or uses < uses_max)
returning uses_per_user_max
