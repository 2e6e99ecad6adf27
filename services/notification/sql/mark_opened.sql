-- Notes that the mail with a tracking id ($1) was opened, the first time only.
update notification
set opened_at = now(), read_at = coalesce(read_at, now())
where tracking_id = $1 and opened_at is null
