-- Stores what events say of users ($1), each part unless a newer event has said it: the result does not depend on the order of
-- the events. Writes one row per user, in the order of their ids, so that concurrent statements cannot deadlock.
with newest_email as (
    select distinct on (c.user_id) c.user_id, c.email, c.seq
    from unnest($1::recipient_change[]) as c
    order by c.user_id, c.seq desc
),
newest_profile as (
    select distinct on (c.user_id) c.user_id, c.name, c.promotions, c.order_updates, c.recommendations, c.seq
    from unnest($1::recipient_change[]) as c
    where c.has_profile
    order by c.user_id, c.seq desc
)
insert into recipient as r (
    user_id, email, email_seq, name, promotions, order_updates, recommendations, profile_seq
)
select
    e.user_id,
    e.email,
    e.seq,
    p.name,
    coalesce(p.promotions, true),
    coalesce(p.order_updates, true),
    coalesce(p.recommendations, true),
    coalesce(p.seq, 0)
from newest_email as e
left join newest_profile as p on p.user_id = e.user_id
order by e.user_id
on conflict on constraint recipient_pk do update
    set
        email = case when excluded.email_seq > r.email_seq then excluded.email else r.email end,
        email_seq = greatest(excluded.email_seq, r.email_seq),
        name = case when excluded.profile_seq > r.profile_seq then excluded.name else r.name end,
        promotions = case when excluded.profile_seq > r.profile_seq then excluded.promotions else r.promotions end,
        order_updates = case when excluded.profile_seq > r.profile_seq then excluded.order_updates else r.order_updates end,
        recommendations =
            case when excluded.profile_seq > r.profile_seq then excluded.recommendations else r.recommendations end,
        profile_seq = greatest(excluded.profile_seq, r.profile_seq)
    where excluded.email_seq > r.email_seq or excluded.profile_seq > r.profile_seq
