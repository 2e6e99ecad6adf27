-- Stores a delivery of each event ($1) for each endpoint that receives its type, each unless it is stored, and the events that
-- any endpoint receives.
--
-- $2: age of an event in days from which it is not delivered: a replay of old events must not reach merchants, and their
-- deliveries may have been deleted. $3: seconds by which an endpoint may be younger than the event. $4: the trace of each event, in
-- their order, or null.
with wanted as (
    select
        e.id as endpoint_id,
        n.id as event_id,
        n.kind,
        n.body,
        n.occurred_at,
        ($4::text[])[n.ordinality::integer] as trace
    from unnest($1::new_webhook_event[]) with ordinality as n
    cross join lateral (
        select a.id
        from webhook_endpoint as a
        where a.active
            and a.deleted_at is null
            and (a.event_types is null or n.kind = any(a.event_types))
            and a.created_at <= n.occurred_at + make_interval(secs => $3)
    ) as e
    where n.occurred_at > now() - make_interval(days => $2)
),
events as (
    insert into webhook_event (id, kind, body, occurred_at, trace)
    select distinct on (w.event_id) w.event_id, w.kind, w.body, w.occurred_at, w.trace
    from wanted as w
    order by w.event_id
    on conflict on constraint webhook_event_pk do nothing
)
insert into webhook_delivery (endpoint_id, event_id, kind)
select w.endpoint_id, w.event_id, w.kind
from wanted as w
order by w.endpoint_id, w.event_id
on conflict on constraint webhook_delivery_pk do nothing
