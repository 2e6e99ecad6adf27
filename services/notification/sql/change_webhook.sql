-- Changes an endpoint ($1): its URL ($2) and description ($3) unless null, its types ($5) if $4, and whether it is active ($6)
-- unless null. An endpoint that becomes active begins anew: its failures before do not count.
update webhook_endpoint as e
set
    url = coalesce($2, e.url),
    description = coalesce($3, e.description),
    event_types = case when $4 then $5 else e.event_types end,
    active = coalesce($6, e.active),
    disabled_reason = case when $6 then null else e.disabled_reason end,
    disabled_at = case when $6 then null else e.disabled_at end,
    failing_since = case when $6 and not e.active then null else e.failing_since end,
    updated_at = now()
where e.id = $1 and e.deleted_at is null
returning e.id, e.url, e.description, e.event_types, e.active, e.disabled_reason, e.disabled_at, e.failing_since,
    e.created_at, e.updated_at
