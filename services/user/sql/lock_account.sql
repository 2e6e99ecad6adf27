-- Locks an account ($1) that may be erased.
select email, password_hash, 'admin' = any (roles) as is_admin
from users
where id = $1
for update
