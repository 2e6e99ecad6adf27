-- A product or warehouse with stock is not deleted: said by the constraint, and found by an index.

alter table stock
    drop constraint stock_product_known,
    drop constraint stock_warehouse_known,
    add constraint stock_product_known foreign key (product_id) references product (id)
        on update restrict on delete restrict,
    add constraint stock_warehouse_known foreign key (warehouse_id) references warehouse (id)
        on update restrict on delete restrict;

create index stock_by_warehouse on stock (warehouse_id);
