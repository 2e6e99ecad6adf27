-- Locks the campaign that has waited longest, and skips those that another process works on.
select promotion_id, content::text as content, after_user, created_at
from campaign
where due_at <= now()
order by due_at
limit 1
for update skip locked
