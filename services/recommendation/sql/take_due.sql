-- Takes results that are due, the longest waiting first, at most $1. They are due again after $2.
with due as (
    select user_id
    from recommendation
    where due_at <= now()
    order by due_at
    limit $1
    for update skip locked
)
update recommendation as r
set due_at = now() + $2::interval
from due
where r.user_id = due.user_id
returning r.user_id, r.version, r.product_ids, r.revision
