-- Leases the generation that is being built to the builder $1 for $2 seconds, if no other one has it.
update index_generation
set builder = $1, leased_until = now() + make_interval(secs => $2)
where state = 'building' and (builder = $1 or leased_until <= now())
returning number, last_product
