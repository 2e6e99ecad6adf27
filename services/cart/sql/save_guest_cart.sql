-- Writes a guest's cart ($1) with its new version ($2) and lines ($3) and its result ($5). Other services receive no event.
--
-- Returns epoch and version of the stored copy of the product ($4) that the change is about. Returns no row and writes nothing
-- if the cart is gone or does not have the previous version, if the product is deleted, or if the key of $5 is stored.
with product as (
    select epoch, version, deleted from product_copy where product_id = $4
),
changed as (
    update guest_cart
    set version = $2, lines = $3, updated_at = now()
    where
        id = $1
        and version = $2 - 1
        and not exists (select from product where deleted)
        and ($5::dedup_record is null or dedup_is_new($5))
    returning id
)
select
    (select epoch from product) as copy_epoch,
    (select version from product) as copy_version,
    dedup_complete($5)
from changed
