-- Replaces name $2, priority $3 and location $4 of warehouse $1, which the transaction has locked.
update warehouse
set name = $2, priority = $3, location_id = $4, version = version + 1, updated_at = now()
where id = $1
