-- Notes that an admin ($3) has replayed or discarded ($2) an open dead letter ($1), and why ($4). Returns no row if it is not
-- open. A replayed mail is queued again.
with decided as (
    update dead_letter_entry
    set state = $2, decided_by = $3, decided_at = now(), note = $4
    where id = $1 and state = 'open'
    returning id, notification_id
),
requeued as (
    update notification as n
    set mail = 'pending', mail_error = null
    from decided as d
    where n.id = d.notification_id and $2 = 'replayed' and n.mail = 'failed'
    returning n.id, n.priority
),
queued as (
    insert into mail_queue (notification_id, priority)
    select id, priority from requeued
    on conflict on constraint mail_queue_pk do nothing
)
select id from decided
