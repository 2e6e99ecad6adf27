-- Overwrites the personal fields of a user ($1) and counts an event.
update users
set
    email = null,
    username = null,
    firstname = null,
    lastname = null,
    name = null,
    phone = null,
    roles = '{}',
    status = 'erased',
    password_hash = '',
    promotions = false,
    order_updates = false,
    recommendations = false,
    updated_at = now(),
    event_seq = event_seq + 1
where id = $1
returning event_seq
