-- Postpones a mail ($1) whose lease is attempt $2 by $3 seconds. $4: whether the attempt counts; one that found no token does
-- not. $5: whether the server refused it. $6: the error, if any.
with postponed as (
    update mail_queue
    set
        due_at = now() + make_interval(secs => $3),
        attempts = case when $4 then attempts else attempts - 1 end,
        refusals = refusals + case when $5 then 1 else 0 end
    where notification_id = $1 and attempts = $2
    returning notification_id
)
update notification as n
set mail_error = $6
from postponed
where n.id = postponed.notification_id and n.mail_error is distinct from $6
