-- Stores that the users of carts ($1) are erased or back ($4), as of events with these epochs ($2) and numbers ($3), unless
-- newer events were stored. An account that was never erased has no row. Returns the carts that are erased by this
-- statement.
with newest as materialized (
    select distinct on (a.cart_id) a.cart_id, a.epoch, a.seq, a.erased
    from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[]) as a (cart_id, epoch, seq, erased)
    order by a.cart_id, a.epoch desc, a.seq desc
),
back as (
    update erased_cart as e
    set epoch = n.epoch, seq = n.seq, erased = false, look_at = null
    from newest as n
    where not n.erased and e.cart_id = n.cart_id and (e.epoch, e.seq) < (n.epoch, n.seq)
)
insert into erased_cart as e (cart_id, epoch, seq, erased, look_at)
select n.cart_id, n.epoch, n.seq, true, now() + interval '10 minutes'
from newest as n
where n.erased
order by n.cart_id
on conflict on constraint erased_cart_pkey do update
    set
        epoch = excluded.epoch,
        seq = excluded.seq,
        erased = true,
        erased_at = excluded.erased_at,
        look_at = excluded.look_at
    where (e.epoch, e.seq) < (excluded.epoch, excluded.seq)
returning e.cart_id
