-- The account of a user ($1) that is not erased.
select
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at, now() as exported_at
from users
where id = $1 and status <> 'erased'
