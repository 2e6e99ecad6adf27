-- Deletes at most $2 checkouts that ended more than $1 days ago. A checkout ends after it begins, so that the index on
-- created_at finds them.
delete from cart_checkout
where ctid = any(array(
    select c.ctid
    from cart_checkout as c
    where
        c.created_at < now() - make_interval(days => $1)
        and c.updated_at < now() - make_interval(days => $1)
        and c.state <> 'taken'
    limit $2
    for update skip locked
))
