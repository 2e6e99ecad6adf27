-- Deletes at most $2 notifications older than $1 days whose mail does not wait.
delete from notification
where ctid = any(array(
    select n.ctid
    from notification as n
    where n.created_at < now() - make_interval(days => $1) and n.mail <> 'pending'
    order by n.created_at
    limit $2
    for update skip locked
))
