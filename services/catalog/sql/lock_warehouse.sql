-- Reads warehouse $1 with the name of its location, and locks it until the transaction ends.
select
    w.id, w.version, w.name, w.name_key, w.priority, w.location_id, t.name as location_name, w.created_at, w.updated_at
from warehouse as w
left join term as t on t.id = w.location_id
where w.id = $1
for no key update of w
