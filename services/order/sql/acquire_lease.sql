-- Acquires the idempotency lease of a new key, with the number and the time of its order, unless the user is blocked.
-- $1: the key. $2: the id of the order. $3: duration. $4: the user.
select
    blocked,
    acquired,
    now() as now,
    case when acquired then nextval('order_number') end as number
from (
    select blocked, case when blocked then false else idempotency_acquire($1, $2, $3) is not null end as acquired
    from (select exists (select from customer where user_id = $4 and blocked) as blocked) as status
) as lease
