-- Writes a cart ($1) with its new version ($2) and lines ($3), its events ($5) and its result ($6).
--
-- Returns epoch and version of the stored copy of the product ($4) that the change is about. Returns no row and writes nothing
-- if the stored cart does not have the previous version, if the product is deleted, or if the key of $6 is stored.
with product as (
    select epoch, version, deleted from product_copy where product_id = $4
),
changed as (
    insert into cart as c (id, version, lines)
    select $1, $2, $3
    where
        not exists (select from product where deleted)
        and ($6::dedup_record is null or dedup_is_new($6))
    on conflict on constraint cart_pkey do update
        set version = excluded.version, lines = excluded.lines, updated_at = now()
        where c.version = excluded.version - 1
    returning id
)
select
    (select epoch from product) as copy_epoch,
    (select version from product) as copy_version,
    outbox_append($5),
    dedup_complete($6)
from changed
