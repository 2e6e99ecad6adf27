-- Ends the attempt $3 of the event $2 at the endpoint $1: the delivery has the state $4, and is due again in $5 seconds if it
-- waits. $6: status of the answer, $7: its beginning, $8: why the attempt failed. $9: whether the receiver wants no more. $10:
-- hours without a success after which the endpoint is disabled.
--
-- Returns whether the attempt was ended (not if its lease was lost) and why the endpoint is disabled by it, if it is. Locks the
-- endpoint before the delivery.
with endpoint as (
    select e.id from webhook_endpoint as e where e.id = $1 for no key update
),
ended as (
    update webhook_delivery as d
    set
        state = $4,
        due_at = case when $4 = 'waiting' then now() + make_interval(secs => $5) end,
        leased_until = null,
        status_code = $6,
        answer = $7,
        error = $8,
        delivered_at = case when $4 = 'delivered' then now() else d.delivered_at end
    from endpoint as e
    where d.endpoint_id = e.id and d.event_id = $2 and d.attempts = $3 and d.leased_until is not null
    returning d.endpoint_id
),
succeeded as (
    update webhook_endpoint as e
    set failing_since = null
    from ended as d
    where e.id = d.endpoint_id and $4 = 'delivered' and e.failing_since is not null
),
disabled as (
    update webhook_endpoint as e
    set
        active = false,
        disabled_reason = case when $9 then 'gone' else 'failing' end,
        disabled_at = now()
    from ended as d
    where e.id = d.endpoint_id
        and $4 <> 'delivered'
        and e.active
        and ($9 or e.failing_since <= now() - make_interval(hours => $10))
    returning e.disabled_reason
),
failed as (
    update webhook_endpoint as e
    set failing_since = now()
    from ended as d
    where e.id = d.endpoint_id and $4 <> 'delivered' and not $9 and e.failing_since is null
)
select exists (select from ended) as ended, (select d.disabled_reason from disabled as d) as disabled_reason
