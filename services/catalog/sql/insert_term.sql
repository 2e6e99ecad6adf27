-- Inserts term $1 of taxonomy $2 with name $3.
insert into term (id, taxonomy, name)
values ($1, $2, $3)
returning id, taxonomy, version, name, name_key, created_at, updated_at
