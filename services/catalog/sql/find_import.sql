-- Reads import $1.
select
    i.lines, i.created, i.updated, i.unchanged, i.failed, i.started_at, i.changed_at,
    i.completed_at is not null as completed, coalesce(i.lease_until > now(), false) as leased
from product_import as i
where i.id = $1
