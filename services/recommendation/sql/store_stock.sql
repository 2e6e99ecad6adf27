-- Stores stock levels ($1) of locked products, each unless the same or a newer one is stored.
insert into stock_level as s (product_id, variant, warehouse_id, epoch, version, available)
select n.product_id, n.variant, n.warehouse_id, n.epoch, n.version, n.available
from unnest($1::stock_row[]) as n
order by n.product_id, n.variant, n.warehouse_id
on conflict on constraint stock_level_pk do update
    set epoch = excluded.epoch, version = excluded.version, available = excluded.available
    where (s.epoch, s.version) < (excluded.epoch, excluded.version)
