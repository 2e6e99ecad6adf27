-- Parcels with units of orders. Orders that were shipped before have none.

-- Each belongs to one seller. `seq`: the version of the order that added it.
create table shipment (
    id uuid not null,
    order_id uuid not null,
    seq bigint not null,
    seller_id uuid not null,
    carrier text not null,
    tracking_number text,
    created_at timestamptz not null,
    delivered_at timestamptz,
    constraint shipment_pk primary key (id),
    constraint shipment_once unique (order_id, seq),
    constraint shipment_of_order unique (id, order_id),
    constraint shipment_order foreign key (order_id) references orders (id) on delete restrict
);

-- How many units of a line of an order are under way, for lines of which any are. The constraints hold whatever writes the
-- table.
create table order_item_shipped (
    order_id uuid not null,
    line smallint not null,
    ordered integer not null,
    shipped integer not null,
    delivered integer not null,
    constraint order_item_shipped_pk primary key (order_id, line),
    constraint order_item_shipped_line foreign key (order_id, line) references order_item (order_id, line) on delete restrict,
    constraint order_item_shipped_at_most_ordered check (shipped between 0 and ordered),
    constraint order_item_delivered_at_most_shipped check (delivered between 0 and shipped)
);

create table shipment_item (
    shipment_id uuid not null,
    order_id uuid not null,
    line smallint not null,
    quantity integer not null,
    constraint shipment_item_pk primary key (shipment_id, line),
    constraint shipment_item_shipment foreign key (shipment_id, order_id) references shipment (id, order_id) on delete restrict,
    constraint shipment_item_line foreign key (order_id, line) references order_item_shipped (order_id, line) on delete restrict,
    constraint shipment_item_quantity_positive check (quantity > 0)
);

create index shipment_item_by_shipment on shipment_item (shipment_id, order_id);
create index shipment_item_by_line on shipment_item (order_id, line);
