-- Deletes at most $2 events of webhooks older than $1 days, with their deliveries.
delete from webhook_event
where ctid = any(array(
    select e.ctid from webhook_event as e
    where e.created_at < now() - make_interval(days => $1)
    order by e.created_at
    limit $2
    for update skip locked
))
