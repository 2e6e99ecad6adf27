-- Reads the listed wrong lines of import $1.
select f.line, f.reason
from product_import_fault as f
where f.import_id = $1
order by f.line
