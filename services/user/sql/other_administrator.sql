-- Whether an active administrator other than a user ($1) exists.
select exists (select from users where 'admin' = any (roles) and status = 'active' and id <> $1)
