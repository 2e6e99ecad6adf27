-- Dead letters before ($1, $2), newest first, at most $3, without their messages.
select
    id, kind, consumer, topic, partition, "offset", headers::text as headers, null::bytea as payload, notification_id, reason,
    state, decided_by, decided_at, note, created_at
from dead_letter_entry
where (created_at, id) < ($1, $2)
order by created_at desc, id desc
limit $3
