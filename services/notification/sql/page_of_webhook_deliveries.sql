-- Deliveries of an endpoint ($1) before ($2, $3), newest first, at most $4.
select
    d.endpoint_id, d.event_id, d.kind, d.state, d.attempts, d.status_code, d.answer, d.error,
    case when d.leased_until > now() then null else d.due_at end as next_attempt_at, d.last_attempt_at, d.delivered_at,
    d.created_at
from webhook_delivery as d
where d.endpoint_id = $1 and (d.created_at, d.event_id) < ($2, $3)
order by d.created_at desc, d.event_id desc
limit $4
