-- Deletes up to $2 imports that did not change for $1 days.
delete from product_import
where ctid = any (
    array(
        select i.ctid
        from product_import as i
        where i.changed_at < now() - make_interval(days => $1)
        order by i.changed_at
        limit $2
        for update skip locked
    )
)
