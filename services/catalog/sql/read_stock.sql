-- Reads what a reserve command depends on: the hold, if it exists, and the stock levels of the requested products. Takes no
-- lock. The subqueries are lookups by primary key whatever the planner knows about the tables.
-- $1 order, $2 number of the hold, $3 requested products.
select
    now() as now,
    h.state,
    h.expires_at,
    h.reserved_by,
    h.shortages,
    array(
        select
            row(
                s.id, l.product_id, l.variant, s.warehouse_id, s.on_hand, s.reserved, s.version,
                (select w.priority from warehouse as w where w.id = s.warehouse_id)
            )::stock_level
        from unnest($3::product_variant[]) as l
        cross join lateral (
            select s.id, s.warehouse_id, s.on_hand, s.reserved, s.version
            from stock as s
            where s.product_id = l.product_id and s.variant = l.variant
            offset 0
        ) as s
        where (select p.deleted_at is null from product as p where p.id = l.product_id)
    ) as levels
from (values (1)) as one
left join hold as h on h.order_id = $1 and h.hold = $2
