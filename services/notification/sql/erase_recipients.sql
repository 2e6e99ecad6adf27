-- Erases users ($1) as of events with these epochs ($2) and numbers ($3), in the order of their ids. The row stays without address
-- and name, with the revision of the event, so that older events cannot bring them back. Returns the erased users; those for
-- whom a newer event came are not.
with newest as (
    select distinct on (e.user_id) e.user_id, e.epoch, e.seq
    from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as e (user_id, epoch, seq)
    order by e.user_id, e.epoch desc, e.seq desc
)
insert into recipient as r (
    user_id,
    email,
    email_epoch,
    email_seq,
    promotions,
    order_updates,
    recommendations,
    profile_epoch,
    profile_seq
)
select n.user_id, null, n.epoch, n.seq, false, false, false, n.epoch, n.seq
from newest as n
order by n.user_id
on conflict on constraint recipient_pk do update
    set
        email = null,
        email_epoch = excluded.email_epoch,
        email_seq = excluded.email_seq,
        name = null,
        promotions = false,
        order_updates = false,
        recommendations = false,
        profile_epoch = excluded.profile_epoch,
        profile_seq = excluded.profile_seq
    where (r.email_epoch, r.email_seq) <= (excluded.email_epoch, excluded.email_seq)
returning r.user_id
