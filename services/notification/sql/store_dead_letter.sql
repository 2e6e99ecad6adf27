-- Stores a message that a service has given up, unless it is stored.
insert into dead_letter_entry (id, kind, consumer, topic, partition, "offset", headers, payload, reason, created_at)
values ($1, 'message', $2, $3, $4, $5, $6::jsonb, $7, $8, $9)
on conflict on constraint dead_letter_entry_pk do nothing
