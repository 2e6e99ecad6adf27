-- Stores a message of the provider and leases it; no row if it is stored already.
-- $1 provider, $2 id of the message, $3 kind, $4 reference of the charge or null, $5 duration of the lease.
insert into provider_event (provider, event_id, kind, reference_id, due_at)
values ($1::text, $2::text, $3::text, $4::text, now() + $5::interval)
on conflict (provider, event_id) do nothing
returning event_id
