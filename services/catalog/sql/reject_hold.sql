-- Stores the shortages of a reserve command in the row of its hold; returns a row if it did. Replaces those of another
-- command; does nothing if the units were reserved or the hold was released meanwhile.
-- $1 order, $2 number of the hold, $3 id of the command, $4 shortages.
insert into hold (order_id, hold, state, reserved_by, shortages, ended_at)
values ($1, $2, 'short', $3, $4, now())
on conflict (order_id, hold) do update
set reserved_by = excluded.reserved_by, shortages = excluded.shortages, ended_at = excluded.ended_at
where hold.state = 'short' and hold.reserved_by is distinct from excluded.reserved_by
returning order_id
