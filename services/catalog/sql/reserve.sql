-- Inserts a hold and reserves its units if every stock row still has the version that was read; returns a row if so.
-- $1 order, $2 number of the hold, $3 when it expires, $4 id of the command, $5 changes of stock rows in the order of the
-- primary key, $6 events.
with unchanged as (
    -- Locks the rows one by one in the order of $5, which is the same in every transaction.
    select c.product_id, c.variant, c.warehouse_id, c.reserved, s.ctid as place
    from unnest($5::stock_change[]) as c
    cross join lateral (
        select s.ctid
        from stock as s
        where
            s.product_id = c.product_id and s.variant = c.variant and s.warehouse_id = c.warehouse_id
            and s.version = c.version
        for no key update
    ) as s
),
inserted as (
    insert into hold (order_id, hold, state, expires_at, reserved_by, lines)
    select
        $1, $2, 'held', $3, $4,
        array_agg(row(u.product_id, u.variant, u.warehouse_id, u.reserved)::hold_line)
    from unchanged as u
    having count(*) = cardinality($5)
    -- A hold that another command could not reserve is reserved now.
    on conflict (order_id, hold) do update
    set
        state = excluded.state, expires_at = excluded.expires_at, reserved_by = excluded.reserved_by,
        lines = excluded.lines, shortages = null, ended_at = null
    where hold.state = 'short' and hold.reserved_by is distinct from excluded.reserved_by
    returning order_id
),
changed as (
    update stock as s
    set reserved = s.reserved + u.reserved, version = s.version + 1
    from unchanged as u
    where s.ctid = u.place and exists (select from inserted)
)
select outbox_append($6) from inserted
