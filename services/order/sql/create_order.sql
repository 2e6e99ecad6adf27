-- Creates an order with its lines, history, saga and events, if its idempotency lease exists and its user has fewer than $8
-- unpaid orders with at most $9 units; locks the lease against cancellation. Returns no row otherwise.
--
-- $1: id. $2: order_head. $3: order_progress. $4: order_line[]. $5: saga_state. $6: history_entry[]. $7: outbox_event[].
-- $10: charges, or null.
with leased as (
    select recovery_id
    from idempotency
    where recovery_id = $1 and state = 'started'
    for share
), unpaid as materialized (
    select u.orders, u.units
    from leased, unnest(array[$2::order_head]) as h, unpaid_orders(h.user_id, leased.recovery_id) as u
), changed as (
    insert into orders (
        id, number, user_id, cart_id, cart_version, currency, total_minor, shipping_address, expires_at, created_at,
        status, payment_status, payment_id, hold, declines, version, event_seq, updated_at,
        phase, saga, next_at, lease_owner, lease_until, due_at, charges
    )
    select
        leased.recovery_id, h.number, h.user_id, h.cart_id, h.cart_version, h.currency, h.total_minor, h.shipping_address,
        h.expires_at, h.created_at,
        p.status, p.payment_status, p.payment_id, p.hold, p.declines, p.version, p.event_seq, p.updated_at,
        s.phase, s.saga, s.next_at, s.lease_owner, s.lease_until,
        case when s.next_at is not null then coalesce(s.lease_until, s.next_at) end, $10::jsonb
    from leased, unpaid, unnest(array[$2::order_head]) as h, unnest(array[$3::order_progress]) as p, unnest(array[$5::saga_state]) as s
    where unpaid.orders < $8 and unpaid.units <= $9
    returning id, currency, updated_at
), lines as (
    insert into order_item (
        order_id, line, product_id, variant, name, quantity, currency, price_minor, total_minor, brand, category, supplier,
        seller_id
    )
    select
        changed.id, l.line, l.product_id, l.variant, l.name, l.quantity, changed.currency, l.price_minor, l.total_minor,
        l.brand, l.category, l.supplier, l.seller_id
    from changed, unnest($4::order_line[]) with ordinality as l (
        product_id, variant, name, quantity, price_minor, total_minor, brand, category, supplier, seller_id, line
    )
), recorded as (
    insert into order_event (order_id, seq, kind, data, at)
    select changed.id, e.seq, e.kind, e.data, changed.updated_at
    from changed, unnest($6::history_entry[]) as e
)
select outbox_append($7) from changed
