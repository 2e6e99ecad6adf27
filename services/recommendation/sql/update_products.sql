-- Stores copies of locked products ($1), each unless the same or a newer one is stored. Returns the products that changed.
update product as p
set
    epoch = n.epoch,
    version = n.version,
    name = n.name,
    category = n.category,
    image_url = n.image_url,
    price_amount = n.price_amount,
    price_currency = n.price_currency,
    deleted = n.deleted
from unnest($1::product_row[]) as n
where p.product_id = n.product_id and (p.epoch, p.version) < (n.epoch, n.version)
returning p.product_id
