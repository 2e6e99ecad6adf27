-- Marks a notification ($2) of a user ($1) as read, the first time only, and returns it.
update notification
set read_at = coalesce(read_at, now())
where id = $2 and user_id = $1
returning
    id, user_id, kind, priority, subject, summary, metadata::text as metadata, read_at, mail, mail_error, sent_at, tracking_id,
    opened_at, created_at
