-- Leases mails of a priority ($1) that are due, the longest waiting first, at most $2, for $3 seconds, and counts the attempt.
-- Skips those that another process leases. The address is that of now, not of the event.
with leased as (
    update mail_queue as q
    set due_at = now() + make_interval(secs => $3), attempts = q.attempts + 1
    where q.notification_id = any(array(
        select d.notification_id
        from mail_queue as d
        where d.priority = $1 and d.due_at <= now()
        order by d.due_at
        limit $2
        for update skip locked
    ))
    returning q.notification_id, q.attempts, q.refusals, q.queued_at, q.trace
)
select
    n.id,
    n.source_id,
    n.user_id,
    n.kind,
    n.priority,
    n.subject,
    n.content::text as content,
    n.tracking_id,
    l.attempts,
    l.refusals,
    l.trace,
    extract(epoch from now() - l.queued_at)::double precision as queued_seconds,
    r.user_id is not null as known,
    r.email,
    r.name,
    coalesce(r.promotions, true) as promotions,
    coalesce(r.order_updates, true) as order_updates,
    coalesce(r.recommendations, true) as recommendations
from leased as l
cross join lateral (
    select m.* from notification as m where m.id = l.notification_id limit 1
) as n
left join lateral (
    select k.* from recipient as k where k.user_id = n.user_id limit 1
) as r on true
