-- Units of orders that their owners send back.

-- Units of returns that are not rejected.
alter table order_item_shipped
    add column returned integer not null default 0,
    add constraint order_item_returned_at_most_delivered check (returned between 0 and delivered);

-- `seq`: the version of the order that added it.
create table order_return (
    id uuid not null,
    order_id uuid not null,
    seq bigint not null,
    status text not null,
    reason text not null,
    amount_minor bigint not null,
    resellable boolean,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint order_return_pk primary key (id),
    constraint order_return_once unique (order_id, seq),
    constraint order_return_of_order unique (id, order_id),
    constraint order_return_order foreign key (order_id) references orders (id) on delete restrict,
    constraint order_return_status_known check (status in ('requested', 'accepted', 'rejected', 'received', 'refunded')),
    constraint order_return_amount_positive check (amount_minor >= 0)
);

create table order_return_item (
    return_id uuid not null,
    order_id uuid not null,
    line smallint not null,
    quantity integer not null,
    constraint order_return_item_pk primary key (return_id, line),
    constraint order_return_item_return foreign key (return_id, order_id) references order_return (id, order_id)
        on delete restrict,
    constraint order_return_item_line foreign key (order_id, line) references order_item_shipped (order_id, line)
        on delete restrict,
    constraint order_return_item_quantity_positive check (quantity > 0)
);

create index order_return_item_by_return on order_return_item (return_id, order_id);
create index order_return_item_by_line on order_return_item (order_id, line);
