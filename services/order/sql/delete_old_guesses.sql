-- Deletes ten counts, at most, that are older than $1 seconds.
delete from coupon_guess
where user_id in (
    select user_id
    from coupon_guess
    where since < now() - make_interval(secs => $1)
    order by since
    limit 10
    for update skip locked
)
