-- Stores what events say of users ($1), each part unless a newer event has said it: the result does not depend on the order of
-- the events. Writes one row per user, in the order of their ids, so that concurrent statements cannot deadlock.
with newest_email as (
    select distinct on (c.user_id) c.user_id, c.email, c.epoch, c.seq
    from unnest($1::recipient_change[]) as c
    order by c.user_id, c.epoch desc, c.seq desc
),
newest_profile as (
    select distinct on (c.user_id) c.user_id, c.name, c.promotions, c.order_updates, c.recommendations, c.epoch, c.seq
    from unnest($1::recipient_change[]) as c
    where c.has_profile
    order by c.user_id, c.epoch desc, c.seq desc
)
insert into recipient as r (
    user_id,
    email,
    email_epoch,
    email_seq,
    name,
    promotions,
    order_updates,
    recommendations,
    profile_epoch,
    profile_seq
)
select
    e.user_id,
    e.email,
    e.epoch,
    e.seq,
    p.name,
    coalesce(p.promotions, true),
    coalesce(p.order_updates, true),
    coalesce(p.recommendations, true),
    coalesce(p.epoch, 0),
    coalesce(p.seq, 0)
from newest_email as e
left join newest_profile as p on p.user_id = e.user_id
order by e.user_id
on conflict on constraint recipient_pk do update
    set
        (email, email_epoch, email_seq) = (
            select n.email, n.epoch, n.seq
            from (
                values
                    (r.email, r.email_epoch, r.email_seq),
                    (excluded.email, excluded.email_epoch, excluded.email_seq)
            ) as n (email, epoch, seq)
            order by n.epoch desc, n.seq desc
            limit 1
        ),
        (name, promotions, order_updates, recommendations, profile_epoch, profile_seq) = (
            select n.name, n.promotions, n.order_updates, n.recommendations, n.epoch, n.seq
            from (
                values
                    (r.name, r.promotions, r.order_updates, r.recommendations, r.profile_epoch, r.profile_seq),
                    (
                        excluded.name,
                        excluded.promotions,
                        excluded.order_updates,
                        excluded.recommendations,
                        excluded.profile_epoch,
                        excluded.profile_seq
                    )
            ) as n (name, promotions, order_updates, recommendations, epoch, seq)
            order by n.epoch desc, n.seq desc
            limit 1
        )
    where
        (r.email_epoch, r.email_seq) < (excluded.email_epoch, excluded.email_seq)
        or (r.profile_epoch, r.profile_seq) < (excluded.profile_epoch, excluded.profile_seq)
