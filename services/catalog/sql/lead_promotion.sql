-- Reads the schedule of promotions if the next one is due, and locks it until the transaction ends. No row: it is not due, or
-- another instance starts the promotion.
select s.last_product_id, s.promotion_id
from promotion_schedule as s
where s.next_at <= now()
for no key update skip locked
