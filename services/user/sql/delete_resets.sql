-- Deletes the requests of a user ($1) and of an address ($2) to set a new password. Skips one that is being used or announced at
-- this moment, which waits for the account: it holds no address, or is deleted when no account has its address.
delete from password_reset
where id = any (array(
    select r.id
    from password_reset as r
    where r.user_id = $1 or (r.user_id is null and r.email = $2)
    for update skip locked
))
