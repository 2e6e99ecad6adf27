-- Deletes at most $1 deliveries of deleted endpoints.
delete from webhook_delivery
where ctid = any(array(
    select d.ctid
    from webhook_endpoint as e
    cross join lateral (
        -- By the primary key: without an order the planner may read the whole table for the rows of one endpoint.
        select w.ctid from webhook_delivery as w where w.endpoint_id = e.id order by w.event_id
        limit $1 for update skip locked
    ) as d
    where e.deleted_at is not null
    limit $1
))
