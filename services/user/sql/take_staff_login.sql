-- Removes a begun login ($1). A row that has expired is no login.
delete from staff_login
where state_digest = $1
returning nonce, code_verifier, expires_at > now() as is_open
