-- The next users who want promotions, after $1 in the order of their ids, at most $2.
select user_id
from recipient
where promotions and user_id > $1
order by user_id
limit $2
