-- Deletes at most $2 events that were set aside more than $1 hours ago.
delete from outbox_set_aside
where ctid = any (array(
    select s.ctid
    from outbox_set_aside as s
    where s.set_aside_at < now() - make_interval(hours => $1)
    order by s.set_aside_at
    limit $2
    for update skip locked
))
