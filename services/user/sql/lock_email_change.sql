-- Locks the active account of a request ($1) to change the e-mail address. No row: the request is unknown or has expired.
select u.id, u.email
from email_change as c
join users as u on u.id = c.user_id
where c.id = $1 and c.expires_at > now() and u.status = 'active'
for update of u
