-- Users by id ($1) that are not erased.
select
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at
from users
where id = any ($1) and status <> 'erased'
