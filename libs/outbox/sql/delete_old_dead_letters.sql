-- Deletes at most $2 dead letters whose last attempt was more than $1 hours ago.
delete from dead_letter
where ctid = any (array(
    select d.ctid
    from dead_letter as d
    where d.last_at < now() - make_interval(hours => $1)
    order by d.last_at
    limit $2
    for update skip locked
))
