-- Inserts a tombstone, so that a later reserve command is rejected; returns a row if the hold reserved nothing.
-- $1 order, $2 number of the hold, $3 id of the command or event.
insert into hold (order_id, hold, state, released_by, ended_at)
values ($1, $2, 'tombstone', $3, now())
on conflict (order_id, hold) do update
set state = excluded.state, released_by = excluded.released_by, ended_at = excluded.ended_at
where hold.state = 'short'
returning order_id
