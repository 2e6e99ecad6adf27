-- Deletes at most $1 endpoints that were deleted more than an hour ago, once they have no deliveries.
delete from webhook_endpoint
where id = any(array(
    select e.id
    from webhook_endpoint as e
    where e.deleted_at < now() - interval '1 hour'
        and not exists (select from webhook_delivery as d where d.endpoint_id = e.id)
    limit $1
))
