-- Leases the refresh of the reports if the last one is old enough and no other process holds it. $1: least age. $2: duration.
update report_refresh
set lease_until = now() + $2
where report = 'top_product' and refreshed_at <= now() - $1::interval and (lease_until is null or lease_until <= now())
