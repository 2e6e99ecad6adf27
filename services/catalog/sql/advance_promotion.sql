-- Schedules the next promotion, which begins after product $2, $1 from now. $3: the present one.
update promotion_schedule
set next_at = now() + $1::interval, last_product_id = $2, promotion_id = $3
