-- Replaces a user's ($1) password hash $2 by $3. No row: another change was faster.
update users
set password_hash = $3, updated_at = now(), event_seq = event_seq + 1
where id = $1 and password_hash = $2
returning event_seq
