-- Deletes at most $2 dead letters older than $1 days.
delete from dead_letter_entry
where ctid = any(array(
    select d.ctid from dead_letter_entry as d
    where d.created_at < now() - make_interval(days => $1)
    order by d.created_at
    limit $2
    for update skip locked
))
