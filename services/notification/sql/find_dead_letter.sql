-- A dead letter ($1) with its message.
select
    id, kind, consumer, topic, partition, "offset", headers::text as headers, payload, notification_id, reason, state,
    decided_by, decided_at, note, created_at
from dead_letter_entry
where id = $1
