-- Reads the terms of taxonomy $1 after sort key $2, by name. $3 limit.
select t.id, t.taxonomy, t.version, t.name, t.name_key, t.created_at, t.updated_at
from term as t
where t.taxonomy = $1 and t.name_key > $2
order by t.name_key
limit $3
