-- Stores notifications ($1), each unless it is stored or its user is erased, and queues their mails.
--
-- $2: whether mails are sent; if not, they are suppressed. $3: age of an event in seconds after which its mail is not sent.
-- $4: the trace of each notification, in their order, or null.
-- Returns the ids of those that are new.
with traces as (
    select n.id, ($4::text[])[n.ordinality::integer] as trace
    from unnest($1::new_notification[]) with ordinality as n
),
stored as (
    insert into notification (
        id, source_id, user_id, kind, priority, subject, summary, content, metadata, mail, tracking_id, created_at
    )
    select
        n.id,
        n.source_id,
        n.user_id,
        n.kind,
        n.priority,
        n.subject,
        n.summary,
        n.content::jsonb,
        n.metadata::jsonb,
        case
            when not $2 then 'suppressed'
            when n.created_at < now() - make_interval(secs => $3) then 'expired'
            else 'pending'
        end,
        n.tracking_id,
        n.created_at
    from unnest($1::new_notification[]) as n
    where (select r.email is null from recipient as r where r.user_id = n.user_id limit 1) is not true
    order by n.id
    on conflict on constraint notification_pk do nothing
    returning id, priority, mail
),
queued as (
    insert into mail_queue (notification_id, priority, trace)
    select s.id, s.priority, (select t.trace from traces as t where t.id = s.id limit 1)
    from stored as s
    where s.mail = 'pending'
)
select id from stored
