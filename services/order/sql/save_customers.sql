-- Stores users as events describe them, unless later events were stored. $1: ids. $2: e-mail addresses. $3: names. $4: epochs.
-- $5: sequence numbers. $6: whether they are blocked. Of several events of one user the last one counts.
insert into customer (user_id, email, name, epoch, seq, blocked)
select distinct on (user_id) user_id, email, name, epoch, seq, blocked
from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::boolean[])
    as event (user_id, email, name, epoch, seq, blocked)
order by user_id, epoch desc, seq desc
on conflict (user_id) do update
set email = excluded.email, name = excluded.name, epoch = excluded.epoch, seq = excluded.seq, blocked = excluded.blocked
where (customer.epoch, customer.seq) < (excluded.epoch, excluded.seq)
