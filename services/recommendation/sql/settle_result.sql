-- A user's ($1) result was computed again and is the same. It stays due if the revision is not $2 any more.
update recommendation
set due_at = null
where user_id = $1 and revision = $2 and due_at is not null
