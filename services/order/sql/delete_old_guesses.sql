-- Deletes some counts that are older than $1 seconds. $2: how many, at most.
delete from coupon_guess
where user_id in (
    select user_id
    from coupon_guess
    where since < now() - make_interval(secs => $1)
    order by since
    limit $2
    for update skip locked
)
