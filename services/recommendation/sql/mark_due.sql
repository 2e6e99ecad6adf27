-- The recommendations of users ($1) are due now.
insert into recommendation as r (user_id, due_at)
select u, now()
from unnest($1::uuid[]) as u
order by u
on conflict (user_id) do update set due_at = least(r.due_at, now()), revision = r.revision + 1
