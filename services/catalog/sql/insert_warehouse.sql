-- Inserts warehouse $1 with name $2 and priority $3 at location $4 or none.
insert into warehouse (id, name, priority, location_id)
values ($1, $2, $3, $4)
