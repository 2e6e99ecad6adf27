-- Records the use of a coupon by an order, unless its user has used the coupon $4 times. The caller has locked the coupon, so
-- that no other use of it is recorded meanwhile. $1: order. $2: code. $3: user. $4: limit, or null.
insert into coupon_use (order_id, code, user_id, used_at)
select $1, $2, $3, now()
where $4::integer is null or (select count(*) from coupon_use where code = $2 and user_id = $3) < $4
