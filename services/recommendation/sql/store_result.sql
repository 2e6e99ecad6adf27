-- Stores the products ($4) that an event ($5) with this version ($3) recommends to a user ($1). They stay due if the revision
-- is not $2 any more. Returns no row and writes nothing if another event has this version.
with changed as (
    update recommendation
    set version = $3, product_ids = $4, due_at = case when revision = $2 then null else due_at end
    where user_id = $1 and version = $3 - 1
    returning user_id
)
select outbox_append($5) from changed
