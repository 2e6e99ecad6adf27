-- What sold most, by units. $1: limit.
select product_id, currency, name, brand, category, supplier, units, orders, revenue_minor
from top_product
order by units desc, product_id, currency
limit $1
