-- Leases payments without a result whose lease has expired, and skips those that another process locks.
-- $1 number of payments at most, $2 duration of the lease.
update payment
set leased_until = now() + $2::interval
where id = any (array(
    select id
    from payment
    where status in ('pending', 'authorised') and leased_until < now()
    order by leased_until
    limit $1::bigint
    for update skip locked
))
returning id
