-- Deletes at most $2 campaigns older than $1 days that have ended.
delete from campaign
where ctid = any(array(
    select c.ctid from campaign as c
    where c.created_at < now() - make_interval(days => $1) and c.due_at is null
    order by c.created_at
    limit $2
    for update skip locked
))
