-- Reads the renamed term that waits longest for its products to be renamed, and locks it until the transaction ends: it keeps
-- its name, and no other replica renames its products meanwhile.
select t.id, t.version, t.name
from term as t
where t.rename_due
order by t.updated_at
limit 1
for no key update skip locked
