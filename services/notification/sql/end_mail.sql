-- Ends a mail ($1) whose lease is attempt $2 with the state $3; `sent` also stores the time.
-- Returns no row and writes nothing if another process has leased it since.
with ended as (
    delete from mail_queue where notification_id = $1 and attempts = $2 returning notification_id
)
update notification as n
set mail = $3, mail_error = null, sent_at = case when $3 = 'sent' then now() end
from ended
where n.id = ended.notification_id
returning n.id
