-- Results of the users after $1 by id, at most $2.
select user_id, version, product_ids, revision
from recommendation
where user_id > $1
order by user_id
limit $2
