-- Stores a request ($1) to set a new password of the account with an address ($2), which is valid for $3 seconds.
insert into password_reset (id, email, expires_at)
values ($1, $2, now() + $3::float8 * interval '1 second')
