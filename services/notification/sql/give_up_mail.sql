-- Gives a mail ($1) up whose lease is attempt $2 for the reason $3: an entry of the dead letters with the id of the
-- notification, opened again if the mail was given up before, and the event ($4).
-- Returns no row and writes nothing if another process has leased it since.
with ended as (
    delete from mail_queue where notification_id = $1 and attempts = $2 returning notification_id
),
failed as (
    update notification as n
    set mail = 'failed', mail_error = $3
    from ended
    where n.id = ended.notification_id
    returning n.id
),
entry as (
    insert into dead_letter_entry (id, kind, consumer, notification_id, reason, created_at)
    select f.id, 'mail', 'notification-mail', f.id, $3, now() from failed as f
    on conflict on constraint dead_letter_entry_pk do update
        set reason = excluded.reason, state = 'open', decided_by = null, decided_at = null, note = null,
            created_at = excluded.created_at
    returning id
)
select outbox_append($4) from entry
