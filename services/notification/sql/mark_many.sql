-- Marks unread notifications of a user ($1) as read: those of a priority ($2) and with these ids ($3); null: any.
update notification
set read_at = now()
where
    user_id = $1
    and read_at is null
    and ($2::text is null or priority = $2)
    and ($3::uuid[] is null or id = any($3))
