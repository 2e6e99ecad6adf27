-- Changes the e-mail address of a user ($1) to $2 and counts two events. Violates users_email_key if another account has it.
update users
set email = $2, updated_at = now(), event_seq = event_seq + 2
where id = $1
returning
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at, event_seq
