-- Replaces the roles ($2) of a user ($1).
update users
set roles = $2, updated_at = now(), event_seq = event_seq + 1
where id = $1 and status <> 'erased'
returning
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at, event_seq
