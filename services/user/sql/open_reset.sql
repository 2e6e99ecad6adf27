-- Whether a request ($1) can be used.
select exists (
    select from password_reset where id = $1 and user_id is not null and used_at is null and expires_at > now()
)
