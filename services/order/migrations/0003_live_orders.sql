-- Whether an order has its cart for itself. The index names this column instead of the status, which changes with every
-- step: PostgreSQL then keeps the row's new version on its page and writes no index (a heap-only update).

drop index orders_cart_version;
alter table orders add column live boolean not null
    generated always as (status not in ('rejected', 'cancelled', 'expired')) stored;
create unique index orders_cart_version on orders (cart_id, cart_version) where live;
