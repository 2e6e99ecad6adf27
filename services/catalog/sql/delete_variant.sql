-- Deletes variant $1 unless units of it are on hand; returns a row if so.
update variant as v
set deleted_at = now(), updated_at = now(), version = v.version + 1
where
    v.id = $1
    and not exists (
        select from stock as s where s.product_id = v.product_id and s.variant = v.name and s.on_hand > 0
    )
returning v.id
