-- Units of committed holds that customers sent back and that went into stock, once for each return.
create table returned_units (
    return_id uuid not null,
    order_id uuid not null,
    hold integer not null,
    lines hold_line[] not null,
    at timestamptz not null default now(),
    constraint returned_units_pk primary key (return_id)
);

create index returned_units_by_hold on returned_units (order_id, hold);
