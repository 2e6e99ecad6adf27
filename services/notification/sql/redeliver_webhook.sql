-- Makes a delivery ($1, $2) due now and begins another round of attempts, unless it is sent at this moment.
update webhook_delivery as d
set state = 'waiting', due_at = now(), leased_until = null, attempts_before = d.attempts
where d.endpoint_id = $1 and d.event_id = $2 and (d.leased_until is null or d.leased_until <= now())
