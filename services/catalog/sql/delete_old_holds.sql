-- Deletes up to $2 holds that were rejected, released or expired more than $1 days ago.
delete from hold
where ctid = any (
    array(
        select h.ctid
        from hold as h
        where h.ended_at < now() - make_interval(days => $1)
        order by h.ended_at
        limit $2
        for update skip locked
    )
)
