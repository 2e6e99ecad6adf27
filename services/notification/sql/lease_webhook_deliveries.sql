-- Leases deliveries that are due at active endpoints, the longest waiting first, at most $1, and at most $2 of each endpoint with
-- those that are leased, for $3 seconds, and counts the attempt. Skips those that another process leases.
with leased as (
    update webhook_delivery as d
    set
        due_at = now() + make_interval(secs => $3),
        leased_until = now() + make_interval(secs => $3),
        last_attempt_at = now(),
        attempts = d.attempts + 1
    where d.ctid = any(array(
        select due.ctid
        from webhook_endpoint as e
        cross join lateral (
            select count(*) as deliveries
            from webhook_delivery as l
            where l.endpoint_id = e.id and l.leased_until > now()
        ) as busy
        cross join lateral (
            select w.ctid, w.due_at
            from webhook_delivery as w
            where w.endpoint_id = e.id and w.state = 'waiting' and w.due_at <= now()
            order by w.due_at
            limit greatest($2 - busy.deliveries, 0)
            for update skip locked
        ) as due
        where e.active and e.deleted_at is null
        order by due.due_at
        limit $1
    ))
    returning d.endpoint_id, d.event_id, d.attempts, d.attempts - d.attempts_before as round
)
select l.endpoint_id, l.event_id, l.attempts, l.round, e.url, v.body, v.trace, s.sealed
from leased as l
cross join lateral (
    select a.url from webhook_endpoint as a where a.id = l.endpoint_id limit 1
) as e
cross join lateral (
    select a.body, a.trace from webhook_event as a where a.id = l.event_id limit 1
) as v
cross join lateral (
    select coalesce(array_agg(a.sealed order by a.created_at desc), '{}') as sealed
    from webhook_secret as a
    where a.endpoint_id = l.endpoint_id and (a.expires_at is null or a.expires_at > now())
) as s
