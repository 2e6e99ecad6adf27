-- Gives carts ($1), which are locked, their new versions ($2) and lines ($3) and appends the events ($4) that these number.
-- The time of their users' last change stays.
with changed as (
    update cart as c
    set version = r.version, lines = r.lines
    from unnest($1::uuid[], $2::bigint[], $3::jsonb[]) as r (id, version, lines)
    where c.id = r.id
    returning c.id
)
select count(*), outbox_append($4) from changed
