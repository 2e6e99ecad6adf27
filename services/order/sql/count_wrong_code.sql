-- Counts one more wrong code of a user, from one again if the first was sent more than $2 seconds ago. $1: user.
insert into coupon_guess as g (user_id, wrong, since)
values ($1, 1, now())
on conflict on constraint coupon_guess_pk do update
set
    wrong = case when g.since > now() - make_interval(secs => $2) then g.wrong + 1 else 1 end,
    since = case when g.since > now() - make_interval(secs => $2) then g.since else now() end
