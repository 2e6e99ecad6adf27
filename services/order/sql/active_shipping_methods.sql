-- The active shipping methods, by code. $1: limit.
select code, name, price_minor, currency, free_from_minor, countries, active, created_at, updated_at
from shipping_method
where active
order by code
limit $1
