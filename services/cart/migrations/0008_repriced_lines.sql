-- Of a product whose price changed: the id of the last cart that was searched for its lines; null once all were. The nil id
-- is before all.
alter table product_copy add column repriced_cart uuid;

create index product_copy_of_repricing on product_copy (repriced_cart, product_id) where repriced_cart is not null;
