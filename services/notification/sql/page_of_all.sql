-- Notifications of all users before ($1, $2), newest first, at most $3 after $4.
-- $5 kind, $6 priority, $7 whether read; null: any.
select
    id, user_id, kind, priority, subject, summary, metadata::text as metadata, read_at, mail, mail_error, sent_at, tracking_id,
    opened_at, created_at
from notification
where
    (created_at, id) < ($1, $2)
    and ($5::text is null or kind = $5)
    and ($6::text is null or priority = $6)
    and ($7::boolean is null or (read_at is not null) = $7)
order by created_at desc, id desc
limit $3 offset $4
