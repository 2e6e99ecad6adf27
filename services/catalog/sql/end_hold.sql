-- Ends a hold and changes the stock of its lines, if the hold and every stock row are as they were read; returns a row if so.
-- $1 order, $2 number of the hold, $3 state before, $4 state after, $5 id of the command or event, null for an expiry,
-- $6 changes of stock rows in the order of the primary key, $7 kind of the ledger entries or null, $8 events.
with found as (
    -- Before the stock rows, as in every transaction that locks a hold.
    select from hold where order_id = $1 and hold = $2 and state = $3 for no key update
),
unchanged as (
    -- Locks the rows one by one in the order of $6, which is the same in every transaction.
    select c.product_id, c.variant, c.warehouse_id, c.on_hand, c.reserved, s.ctid as place
    from unnest($6::stock_change[]) as c
    cross join lateral (
        select s.ctid
        from stock as s
        where
            s.product_id = c.product_id and s.variant = c.variant and s.warehouse_id = c.warehouse_id
            and s.version = c.version
        for no key update
    ) as s
    where exists (select from found)
),
ended as (
    update hold
    set
        state = $4,
        committed_by = case when $4 = 'committed' then $5 else committed_by end,
        released_by = case when $4 = 'released' then $5 end,
        ended_at = case when $4 <> 'committed' then now() end
    where order_id = $1 and hold = $2 and state = $3 and (select count(*) from unchanged) = cardinality($6)
    returning order_id
),
changed as (
    update stock as s
    set on_hand = s.on_hand + u.on_hand, reserved = s.reserved + u.reserved, version = s.version + 1
    from unchanged as u
    where s.ctid = u.place and exists (select from ended)
),
recorded as (
    insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, order_id)
    select u.product_id, u.variant, u.warehouse_id, $7, u.on_hand, $1
    from unchanged as u
    where $7::text is not null and exists (select from ended)
)
select outbox_append($8) from ended
