-- Reads the warehouses after sort key $1, by name, with the names of their locations. $2 limit.
select
    w.id, w.version, w.name, w.name_key, w.priority, w.location_id, t.name as location_name, w.created_at, w.updated_at
from warehouse as w
left join term as t on t.id = w.location_id
where w.name_key > $1
order by w.name_key
limit $2
