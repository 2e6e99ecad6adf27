-- Deletes at most $2 carts of guests whose last change is more than $1 days ago. A cart changes after its creation, so that
-- the index on created_at finds them.
delete from guest_cart
where ctid = any(array(
    select c.ctid
    from guest_cart as c
    where
        c.created_at < now() - make_interval(days => $1)
        and c.updated_at < now() - make_interval(days => $1)
    limit $2
    for update skip locked
))
