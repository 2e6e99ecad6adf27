-- Records that $3 more products of the catalog are stored in generation $1, up to the product $4, and extends the lease of its
-- builder $2 by $5 seconds; no row if another builder has it.
update index_generation
set
    products = products + $3, last_product = $4, updated_at = now(), leased_until = now() + make_interval(secs => $5)
where number = $1 and builder = $2 and state = 'building'
