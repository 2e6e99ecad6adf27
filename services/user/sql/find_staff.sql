-- Locks the account of a person ($2) at an identity provider ($1).
select
    u.id, u.email, u.username, u.firstname, u.lastname, u.name, u.phone, u.roles, u.status, u.promotions, u.order_updates,
    u.recommendations, u.created_at, u.updated_at
from staff_identity as s
join users as u on u.id = s.user_id
where s.issuer = $1 and s.subject = $2
for update of u
