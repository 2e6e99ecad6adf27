-- Leases messages of the provider that are not processed, and skips those that another process locks. The pause doubles
-- with each try, up to an hour.
-- $1 number of messages at most, $2 first pause.
with due as materialized (
    select provider, event_id
    from provider_event
    where processed_at is null and due_at < now()
    order by due_at
    limit $1::bigint
    for update skip locked
)
update provider_event as e
set tries = e.tries + 1,
    due_at = now() + least($2::interval * power(2, least(e.tries, 12)), interval '1 hour')
from due
where e.provider = due.provider and e.event_id = due.event_id
returning e.provider, e.event_id, e.reference_id
