-- Assigns a request ($1) to the active account with its address ($2), which the request then need not hold. No row: there is none,
-- or it has no password, because its owner logs in at an identity provider.
with account as (
    update users
    set event_seq = event_seq + 1
    where email = $2 and status = 'active' and password_hash <> ''
    returning id, event_seq
),
assigned as (
    update password_reset as r
    set user_id = a.id, email = ''
    from account as a
    where r.id = $1
)
select id, event_seq from account
