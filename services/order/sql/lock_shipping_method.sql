-- A shipping method, locked until the transaction ends. $1: code.
select code, name, price_minor, currency, free_from_minor, countries, active, created_at, updated_at
from shipping_method
where code = $1
for update
