-- Acquires the idempotency lease of a new key, with the number and the time of its order. $1: the key. $2: the id of the order.
-- $3: duration.
select
    acquired,
    now() as now,
    case when acquired then nextval('order_number') end as number
from (select idempotency_acquire($1, $2, $3) is not null as acquired) as lease
