-- Makes failed deliveries of an endpoint ($1) due now that were created from $2 on and before $3, the oldest first, at most $4.
update webhook_delivery as d
set state = 'waiting', due_at = now(), leased_until = null, attempts_before = d.attempts
where d.ctid = any(array(
    select f.ctid
    from webhook_delivery as f
    where f.endpoint_id = $1 and f.state = 'failed' and f.created_at >= $2 and f.created_at < $3
    order by f.created_at, f.event_id
    limit $4
    for update skip locked
))
