-- Of a deleted product: the id of the last cart that was searched for its lines; null once all were. The nil id is before all.
alter table product_copy add column searched_cart uuid;

create index product_copy_of_search on product_copy (searched_cart, product_id) where searched_cart is not null;
