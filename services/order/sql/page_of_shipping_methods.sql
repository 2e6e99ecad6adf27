-- Shipping methods after code $1, by code. $2: limit.
select code, name, price_minor, currency, free_from_minor, countries, active, created_at, updated_at
from shipping_method
where code > $1
order by code
limit $2
