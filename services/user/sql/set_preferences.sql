-- Sets those preferences of a user ($1) that are not null: promotions ($2), order updates ($3), recommendations ($4).
update users
set
    promotions = coalesce($2, promotions),
    order_updates = coalesce($3, order_updates),
    recommendations = coalesce($4, recommendations),
    updated_at = now(),
    event_seq = event_seq + 1
where id = $1 and status <> 'erased'
returning
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at, event_seq
