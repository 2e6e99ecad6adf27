-- Replaces stock keeping unit $2, price $3 and options $4 of variant $1, whose product the transaction has locked.
update variant
set sku = $2, price_amount = $3, options = $4, version = version + 1, updated_at = now()
where id = $1
