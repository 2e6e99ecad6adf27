-- Gives carts ($1), which are locked, their new versions ($2) and appends the events ($3) that these number.
with changed as (
    update cart as c
    set version = r.version
    from unnest($1::uuid[], $2::bigint[]) as r (id, version)
    where c.id = r.id
    returning c.id
)
select count(*), outbox_append($3) from changed
