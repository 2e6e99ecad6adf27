-- Gives term $1, which the transaction has locked, name $2. $3: its products are to be renamed.
update term
set name = $2, version = version + 1, updated_at = now(), rename_due = $3
where id = $1
returning id, taxonomy, version, name, name_key, created_at, updated_at
