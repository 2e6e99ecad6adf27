-- Reads the translations of products $1 into languages whose first subtags are $2.
select t.product_id, t.language, t.name, t.description
from product_translation as t
where t.product_id = any($1) and split_part(t.language, '-', 1) = any($2)
