-- Deletes at most $2 erasures of more than $1 days ago: no checkout from before them is left.
delete from erased_cart
where ctid = any(array(
    select e.ctid
    from erased_cart as e
    where e.erased_at < now() - make_interval(days => $1)
    limit $2
    for update skip locked
))
