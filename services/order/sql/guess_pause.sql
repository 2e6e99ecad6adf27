-- Seconds until a user who has sent $2 wrong codes may send another code; no row if they may. $1: user. $3: seconds after the first
-- wrong code.
select greatest(1, ceil(extract(epoch from since + make_interval(secs => $3) - now())))::integer
from coupon_guess
where user_id = $1 and wrong >= $2 and since > now() - make_interval(secs => $3)
