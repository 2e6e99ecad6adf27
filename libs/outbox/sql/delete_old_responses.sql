-- Deletes at most $2 stored responses that are older than $1 hours. Skips requests that are in progress.
delete from idempotency
where ctid = any (array(
    select i.ctid
    from idempotency as i
    where
        i.created_at < now() - make_interval(hours => $1)
        and (i.state = 'done' or i.lease_until is null or i.lease_until < now())
    order by i.created_at
    limit $2
    for update skip locked
))
