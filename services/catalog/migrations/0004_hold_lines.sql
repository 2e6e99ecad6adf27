-- A hold is one row: its lines, the commands that changed it, and the shortages of a rejected one.
--
-- Events of `inventory-events` are numbered per stock row (by its version) and per reservation (only 1), so that no row
-- counts them. The events of a stock row that exists already continue after its version.

alter table stock add column id uuid not null default gen_random_uuid(); -- the aggregate of its events

create domain line_quantity as bigint constraint line_quantity_positive check (value > 0);

create type hold_line as (
    product_id uuid,
    variant text,
    warehouse_id uuid,
    quantity line_quantity
);

-- A product and variant that is requested.
create type product_variant as (
    product_id uuid,
    variant text
);

-- A stock row with the priority of its warehouse.
create type stock_level as (
    id uuid,
    product_id uuid,
    variant text,
    warehouse_id uuid,
    on_hand bigint,
    reserved bigint,
    version bigint,
    priority integer
);

-- A stock row with the units that a hold reserves there.
create type held_stock as (
    id uuid,
    product_id uuid,
    variant text,
    warehouse_id uuid,
    on_hand bigint,
    reserved bigint,
    version bigint,
    quantity bigint
);

-- A stock row as it was read, by its version, and what a change adds to its units.
create type stock_change as (
    product_id uuid,
    variant text,
    warehouse_id uuid,
    version bigint,
    on_hand bigint,
    reserved bigint
);

alter table hold
    add column lines hold_line[],
    add column reserved_by uuid, -- id of the command that reserved the units or was rejected; identifies the reservation
    add column committed_by uuid, -- id of the command or event that committed the hold
    add column released_by uuid, -- id of the command or event that released the hold
    add column shortages json, -- the result of a rejected reserve command
    add column ended_at timestamptz, -- when the hold was rejected, released or expired: deleted 30 days later
    drop constraint hold_state_known,
    drop constraint hold_ends;

update hold as h
set
    lines = (
        select array_agg(
            row(r.product_id, r.variant, r.warehouse_id, r.quantity)::hold_line
            order by r.product_id, r.variant, r.warehouse_id
        )
        from reservation as r
        where r.order_id = h.order_id and r.hold = h.hold
    ),
    reserved_by = case when h.state <> 'tombstone' then gen_random_uuid() end,
    ended_at = case when h.state in ('released', 'expired', 'tombstone') then h.updated_at end;

alter table hold
    add constraint hold_state_known
        check (state in ('held', 'committed', 'released', 'expired', 'tombstone', 'short')),
    -- A tombstone and a rejected hold reserve nothing.
    add constraint hold_has_lines
        check (state in ('tombstone', 'short') or (
            expires_at is not null and reserved_by is not null and coalesce(cardinality(lines), 0) > 0
        )),
    drop column created_at,
    drop column updated_at; -- and with it the index hold_to_forget

create index hold_to_delete on hold (ended_at) where ended_at is not null;

drop table reservation;
drop table inventory_seq;

-- No statement searches the ledger by stock row.
drop index stock_movement_by_place;

-- Products that are not deleted, with their available units.
create view listed_product as
select
    p.id, p.seller_id, p.version, p.name, p.name_key, p.description, p.sku, p.price_amount, p.price_currency, p.category,
    p.brand, p.supplier, p.image_url, p.created_at, p.updated_at,
    coalesce((select sum(s.on_hand - s.reserved) from stock as s where s.product_id = p.id), 0)::bigint as stock
from product as p
where p.deleted_at is null;
