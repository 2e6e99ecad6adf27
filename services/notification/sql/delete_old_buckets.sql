-- Deletes at most $2 token buckets that were not used for $1 days and are full again.
delete from mail_bucket
where ctid = any(array(
    select b.ctid from mail_bucket as b
    where b.updated_at < now() - make_interval(days => $1)
    order by b.updated_at
    limit $2
    for update skip locked
))
