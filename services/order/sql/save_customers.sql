-- Stores users as events describe them, unless later events were stored. $1: ids. $2: e-mail addresses; null for an erased
-- user. $3: names. $4: epochs. $5: sequence numbers. $6: whether they are blocked, as erased ones are. Of several events of
-- one user the last one counts.
insert into customer (user_id, email, name, epoch, seq, blocked, erased_at, erase_at)
select distinct on (user_id)
    user_id, email, name, epoch, seq, blocked, case when email is null then now() end, case when email is null then now() end
from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[])
    as event (user_id, email, name, epoch, seq, blocked)
order by user_id, epoch desc, seq desc
on conflict (user_id) do update
set
    email = excluded.email,
    name = excluded.name,
    epoch = excluded.epoch,
    seq = excluded.seq,
    blocked = excluded.blocked,
    erased_at = excluded.erased_at,
    erase_at = excluded.erase_at
where (customer.epoch, customer.seq) < (excluded.epoch, excluded.seq)
