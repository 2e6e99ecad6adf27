-- Changes a shipping method. $1: code. $2: name. $3 and $4: price. $5: sum from which it is free. $6: countries. $7: active.
update shipping_method
set
    name = $2,
    price_minor = $3,
    currency = $4,
    free_from_minor = $5,
    countries = $6,
    active = $7,
    updated_at = now()
where code = $1
returning code, name, price_minor, currency, free_from_minor, countries, active, created_at, updated_at
