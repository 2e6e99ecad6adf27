-- Notifications of a user ($1) before ($2, $3), newest first, at most $4 after $5.
-- $6 kind, $7 priority, $8 whether read, $9 words that it contains; null: any.
select
    id, user_id, kind, priority, subject, summary, metadata::text as metadata, read_at, mail, mail_error, sent_at, tracking_id,
    opened_at, created_at
from notification
where
    user_id = $1
    and (created_at, id) < ($2, $3)
    and ($6::text is null or kind = $6)
    and ($7::text is null or priority = $7)
    and ($8::boolean is null or (read_at is not null) = $8)
    and ($9::text is null or search @@ plainto_tsquery('simple', $9))
order by created_at desc, id desc
limit $4 offset $5
