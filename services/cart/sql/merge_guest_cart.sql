-- Writes the cart of a user ($1) with its new version ($2) and lines ($3), deletes the guest's cart ($4) of version ($5) that
-- is among them, and appends the events ($6) and the result ($7).
--
-- Returns no row and writes nothing if the guest's cart is gone or has changed, if the user's cart does not have the previous
-- version, or if the key of $7 is stored. The lock of the guest's cart comes first: of several merges, one finds it.
with guest as (
    select from guest_cart where id = $4 and version = $5 for update
),
changed as (
    insert into cart as c (id, version, lines)
    select $1, $2, $3
    from guest
    where $7::dedup_record is null or dedup_is_new($7)
    on conflict on constraint cart_pkey do update
        set version = excluded.version, lines = excluded.lines, updated_at = now()
        where c.version = excluded.version - 1
    returning id
),
merged as (
    delete from guest_cart where id = $4 and exists (select from changed)
)
select outbox_append($6), dedup_complete($7) from changed
