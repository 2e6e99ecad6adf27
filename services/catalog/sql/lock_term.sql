-- Reads term $2 of taxonomy $1, and locks it until the transaction ends.
select t.id, t.taxonomy, t.version, t.name, t.name_key, t.created_at, t.updated_at
from term as t
where t.taxonomy = $1 and t.id = $2
for no key update
