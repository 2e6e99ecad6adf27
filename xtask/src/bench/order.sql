-- Statements and transactions of one paid order, in their order, in one database and on one connection: the upper bound
-- for orders per second on this machine.
--
-- Derived from the server's statement log (`log_statement = all`) of orders placed by `agora-shopper buy-one`, without
-- polling, registration and login. Keys and columns are reduced; every transaction and every write of the log is
-- included. `cargo xtask bench pgbench` records orders again and prints their commits and statements beside those of
-- this script: if they differ, the script is out of date.
\set user random(1, 1000)
\set product random(1, :products)
select gen_random_uuid() as o, gen_random_uuid() as p, gen_random_uuid() as e, gen_random_uuid() as f, gen_random_uuid() as g, gen_random_uuid() as h \gset
-- catalog: browse
select id, name, price, (select on_hand - reserved from stock where product_id = id) from product order by id limit 20;
-- cart: add an item, with a quote of the catalog
select c.version, l.product_id, l.quantity from cart c left join cart_line l on l.user_id = c.user_id where c.user_id = :user;
select id, name, price, (select on_hand - reserved from stock where product_id = id) from product where id = :product;
select c.version, l.product_id, l.quantity from cart c left join cart_line l on l.user_id = c.user_id where c.user_id = :user;
with changed as (insert into cart values (:user, 1) on conflict (user_id) do update set version = cart.version + 1 returning user_id), added as (insert into cart_line select user_id, :product, 1 from changed on conflict (user_id, product_id) do update set quantity = 1), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'cart-events', :o, '{"lines": 1}' from changed), answered as (insert into idempotency select 'cart', :e, 'done', '{}' from changed) select from changed;
-- order: claim the idempotency key
insert into idempotency values ('order', :e, 'started');
-- cart: begin checkout
select c.version, l.product_id, l.quantity from cart c left join cart_line l on l.user_id = c.user_id where c.user_id = :user;
with changed as (update cart set version = version + 1 where user_id = :user and not exists (select from checkout where order_id = :o) returning user_id), emptied as (delete from cart_line using changed where cart_line.user_id = changed.user_id), filled as (insert into checkout select :o, 'open', '[]' from changed), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'cart-events', :p, '{"lines": 0}' from changed), processed as (insert into inbox select 'cart.checkout', :e, '{}' from changed) select from changed;
-- catalog: quote
select id, name, price, (select on_hand - reserved from stock where product_id = id) from product where id = :product;
-- order: create
select now(), nextval('order_number') from idempotency where scope = 'order' and key = :e and state = 'started';
with claimed as (select key from idempotency where scope = 'order' and key = :e and state = 'started' for share), changed as (insert into orders select :o, 1, :user, 'created', 'unpaid', 1, 1999 from claimed returning id), items as (insert into order_line select id, 1, :product, 1, 1999 from changed), recorded as (insert into order_event select id, 1, 'created', '{}' from changed), begun as (insert into saga select id, 'running', '{}', now(), now() + interval '15 seconds' from changed), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'order-events', id, '{"type": "order.created"}' from changed) select id from changed;
-- catalog: reserve
select now(), s.on_hand, s.reserved, q.seq, h.state, (select value from inbox where consumer = 'catalog.reserve' and event_id = :e) from stock s left join inventory_seq q on q.aggregate = :e left join hold h on h.order_id = :o where s.product_id = :product;
with locked as (select product_id from stock where product_id = :product for no key update), held as (insert into hold select :o, 'held', now() + interval '1800 seconds' from locked on conflict do nothing returning order_id), counted as (insert into inventory_seq select :e, 1 from held on conflict (aggregate) do update set seq = inventory_seq.seq + 1), moved as (update stock set reserved = reserved + 1 from locked where stock.product_id = locked.product_id), kept as (insert into reservation select :o, :product, 1, 'held' from held), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'inventory-events', :e, '{"type": "stock.changed"}' from held), processed as (insert into inbox select 'catalog.reserve', :e, '{}' from held) select from held;
-- order: pending
with changed as (update saga set phase = 'resting', next_at = now() + interval '900 seconds', lease_until = null where order_id = :o returning order_id), projected as (update orders set status = 'pending', version = 2 from changed where id = order_id), recorded as (insert into order_event select order_id, 2, 'placed', '{}' from changed), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'order-events', order_id, '{"type": "order.placed"}' from changed), settled as (update idempotency set state = 'done', answer = '{}' from changed where scope = 'order' and key = :e) select now() from changed;
-- cart: order.placed
with changed as (update checkout set state = 'done' where order_id = :o and state = 'open' returning order_id), processed as (insert into inbox select 'cart.placed', :e from changed) select from changed;
-- payment: claim the idempotency key
with claimed as (insert into idempotency values ('payment', :e, 'started') returning key), begun as (insert into payment select :p, :o, 'pending', 1999 from claimed returning id), logged as (insert into payment_log (payment_id, message) select id, 'begun' from begun) select id from begun;
-- order: begin payment
select o.status, s.data from orders o join saga s on s.order_id = o.id where o.id = :o;
with changed as (update saga set phase = 'resting', next_at = now() + interval '60 seconds' where order_id = :o returning order_id), projected as (update orders set payment_status = 'processing', version = 3 from changed where id = order_id), recorded as (insert into order_event select order_id, 3, 'processing', '{}' from changed) select now() from changed;
-- payment: attempt
with due as (update payment set amount = 1999 where id = :p and status = 'pending' returning id), prepared as (insert into attempt select id, 1, 'prepared', :f from due) select id from due;
-- payment: table of the simulated provider
insert into operation values (:f, 'captured') returning outcome;
-- payment: capture
with changed as (update payment set status = 'captured' where id = :p and status = 'pending' returning id), logged as (insert into payment_log (payment_id, message) select id, 'captured' from changed), ended as (update attempt set state = 'captured' from changed where payment_id = id and n = 1), txn as (insert into ledger_txn (kind, ref) select 'capture', id from changed), booked as (insert into ledger_entry (ref, account, amount) select id, account, amount from changed, (values ('provider', 1999), ('seller', -1999)) as e (account, amount)), called_back as (insert into order_callback select :g, :o, now() + interval '10 seconds' from changed), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'payment-events', id, '{"type": "payment.captured"}' from changed) select id from changed;
-- order: result
select o.status, s.data, h.value from orders o join saga s on s.order_id = o.id left join inbox h on h.consumer = 'order.result' and h.event_id = :e where o.id = :o;
with changed as (update saga set phase = 'running', data = '{"step": "commit"}' where order_id = :o returning order_id), processed as (insert into inbox select 'order.result', :e, '{}' from changed) select now() from changed;
-- catalog: commit
select h.state, s.on_hand, s.reserved, q.seq, (select value from inbox where consumer = 'catalog.commit' and event_id = :e) from hold h join reservation r on r.order_id = h.order_id join stock s on s.product_id = r.product_id left join inventory_seq q on q.aggregate = :f where h.order_id = :o;
with locked as (select product_id from stock where product_id = :product for no key update), closed as (update hold set state = 'committed' from locked where order_id = :o and state = 'held' returning order_id), counted as (insert into inventory_seq select :f, 1 from closed on conflict (aggregate) do update set seq = inventory_seq.seq + 1), moved as (update stock set on_hand = on_hand - 1, reserved = reserved - 1 from locked where stock.product_id = locked.product_id), ended as (update reservation set state = 'committed' where order_id = :o), booked as (insert into stock_movement (product_id, kind, units, order_id) select :product, 'commit', -1, order_id from closed), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'inventory-events', :f, '{"type": "stock.changed"}' from closed), processed as (insert into inbox select 'catalog.commit', :e, '{}' from closed) select from closed;
-- order: paid
with changed as (update saga set phase = 'done', next_at = null where order_id = :o returning order_id), projected as (update orders set status = 'paid', payment_status = 'paid', version = 4 from changed where id = order_id), recorded as (insert into order_event select order_id, 4, 'paid', '{}' from changed), published as (insert into outbox (shard, topic, aggregate, data) select 1, 'order-events', order_id, '{"type": "order.paid"}' from changed) select now() from changed;
-- payment: the order service has acknowledged the result
with acknowledged as (delete from order_callback where result_id = :g), settled as (update idempotency set state = 'done', answer = '{}' where scope = 'payment' and key = :e) select;
-- Relays: each sends all events since its last poll in one batch.
-- cart: relay
select id from outbox order by id limit 1;
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'cart-events' and aggregate in (:o, :p);
delete from outbox where topic = 'cart-events' and aggregate in (:o, :p);
commit;
-- order: relay
select id from outbox order by id limit 1;
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'order-events' and aggregate in (:o);
delete from outbox where topic = 'order-events' and aggregate in (:o);
commit;
-- catalog: relay
select id from outbox order by id limit 1;
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'inventory-events' and aggregate in (:e, :f);
delete from outbox where topic = 'inventory-events' and aggregate in (:e, :f);
commit;
-- payment: relay
select id from outbox order by id limit 1;
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'payment-events' and aggregate in (:p);
delete from outbox where topic = 'payment-events' and aggregate in (:p);
commit;
-- catalog, order: duplicates of events that are applied already
select h.state, (select value from inbox where consumer = 'catalog.commit' and event_id = :e) from hold h where h.order_id = :o;
select o.status, s.data, h.value from orders o join saga s on s.order_id = o.id left join inbox h on h.consumer = 'order.result' and h.event_id = :e where o.id = :o;
-- order: read back
select o.status, l.product_id, l.quantity from orders o join order_line l on l.order_id = o.id where o.id = :o;
