-- Records the lines of a batch with their events; returns a row unless another request handles the import now.
-- $1 import, $2 request, $3 lines of the batch, $4 digest of all lines so far, $5 created, $6 updated and $7 unchanged products,
-- $8 wrong lines, $9 their numbers and $10 reasons, of which $11 are listed in all, $12 events.
with recorded as (
    update product_import as i
    set
        lines = i.lines + $3, digest = $4, created = i.created + $5, updated = i.updated + $6,
        unchanged = i.unchanged + $7, failed = i.failed + $8, changed_at = now()
    where i.id = $1 and i.runner = $2 and i.completed_at is null
    returning i.id, i.failed - $8 as failed_before
),
listed as (
    insert into product_import_fault (import_id, line, reason)
    select r.id, f.line, f.reason
    from recorded as r
    cross join unnest($9::bigint[], $10::text[]) with ordinality as f (line, reason, place)
    where r.failed_before + f.place <= $11
)
select outbox_append($12) from recorded
