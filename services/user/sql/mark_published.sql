-- Marks revoked sessions ($1, by id) as published.
update blocked_auth
set published_at = now()
where id = any ($1) and published_at is null
