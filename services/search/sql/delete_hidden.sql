-- Deletes $1 rows of deleted and unknown products that have not changed for $2 days.
delete from product_entry
where ctid = any(array(
    select e.ctid
    from product_entry as e
    where not e.visible and e.stored_at < now() - make_interval(days => $2)
    limit $1
))
