-- What one paid order makes PostgreSQL do, in its transactions and their order, in one database and on one connection:
-- the most that a shop of these transactions can do on this machine.
--
-- Derived from the server's statement log (`log_statement = all`) of orders bought by `agora-shopper buy-one`, without
-- what goes on when nothing is bought (polling), and without registering and logging in. Keys and columns are cut down;
-- every transaction and every write of the log is here. `cargo xtask bench pgbench` records orders again and prints
-- their commits and writes beside this script's: where they differ, the script is out of date.
\set user random(1, 1000)
\set product random(1, 60)
select gen_random_uuid() as o, gen_random_uuid() as p, gen_random_uuid() as e, gen_random_uuid() as f, gen_random_uuid() as g, gen_random_uuid() as h \gset
-- catalog: browse
select id, name, price, (select on_hand - reserved from stock where product_id = id) from product order by id limit 20;
-- cart: add
begin;
insert into idempotency values ('cart', :e, 'started');
insert into cart values (:user, 1) on conflict do nothing;
insert into cart_line values (:user, :product, 1) on conflict (user_id, product_id) do update set quantity = 1;
select product_id, quantity from cart_line where user_id = :user;
insert into outbox (shard, topic, aggregate, data) values (1, 'cart-events', :o, '{"lines": 1}');
update idempotency set state = 'done', answer = '{}' where scope = 'cart' and key = :e;
commit;
-- order: claim
insert into idempotency values ('order', :e, 'started');
-- cart: take
begin;
insert into inbox values ('cart.take', :e);
insert into taking values (:o, 'taken');
select version from cart where user_id = :user for no key update;
select product_id, quantity from cart_line where user_id = :user;
with emptied as (delete from cart_line where user_id = :user), filled as (update taking set lines = '[]' where order_id = :o) update cart set version = version + 1 where user_id = :user;
insert into outbox (shard, topic, aggregate, data) values (1, 'cart-events', :p, '{"lines": 0}');
update inbox set value = '{}' where consumer = 'cart.take' and event_id = :e;
commit;
-- catalog: quote
select id, name, price, (select on_hand - reserved from stock where product_id = id) from product where id = :product;
-- order: create
begin;
select nextval('order_number') from idempotency where scope = 'order' and key = :e for share;
with items as (insert into order_line values (:o, 1, :product, 1, 1999)) insert into orders values (:o, 1, :user, 'created', 'unpaid', 1, 1999);
with recorded as (insert into order_event values (:o, 1, 'created', '{}')) insert into saga values (:o, 'running', '{}', now() + interval '10 seconds', now() + interval '10 seconds');
insert into outbox (shard, topic, aggregate, data) values (1, 'order-events', :o, '{"type": "order.created"}');
commit;
-- catalog: reserve
begin;
insert into inbox values ('catalog.reserve', :e);
select state from hold where order_id = :o for no key update;
insert into hold values (:o, 'held', now() + interval '1800 seconds');
select on_hand, reserved from stock where product_id = :product for no key update;
with kept as (insert into reservation values (:o, :product, 1, 'held')) update stock set reserved = reserved + 1 where product_id = :product;
insert into inventory_seq values (:e, 1) on conflict (aggregate) do update set seq = inventory_seq.seq + 1;
insert into outbox (shard, topic, aggregate, data) values (1, 'inventory-events', :e, '{"type": "stock.changed"}');
update inbox set value = '{}' where consumer = 'catalog.reserve' and event_id = :e;
commit;
-- order: pending
begin;
select o.status, s.data from orders o join saga s on s.order_id = o.id where o.id = :o for no key update;
with projected as (update orders set status = 'pending', version = 2 where id = :o), recorded as (insert into order_event values (:o, 2, 'placed', '{}')) update saga set phase = 'resting', next_at = now() + interval '900 seconds' where order_id = :o;
insert into outbox (shard, topic, aggregate, data) values (1, 'order-events', :o, '{"type": "order.placed"}');
update idempotency set state = 'done', answer = '{}' where scope = 'order' and key = :e;
commit;
-- cart: order.placed
begin;
insert into inbox values ('cart.placed', :e);
update taking set state = 'done' where order_id = :o and state = 'taken';
commit;
-- payment: claim
begin;
insert into idempotency values ('payment', :e, 'started');
with logged as (insert into payment_log (payment_id, message) values (:p, 'begun')) insert into payment values (:p, :o, 'pending', 1999);
commit;
-- order: begin payment
begin;
select o.status, s.data from orders o join saga s on s.order_id = o.id where o.id = :o for no key update;
with projected as (update orders set payment_status = 'processing', version = 3 where id = :o), recorded as (insert into order_event values (:o, 3, 'processing', '{}')) update saga set phase = 'resting', next_at = now() + interval '60 seconds' where order_id = :o;
commit;
-- payment: attempt
begin;
select status, amount from payment where id = :p for no key update;
update payment set status = 'pending' where id = :p;
select coalesce(max(n), 0) + 1 from attempt where payment_id = :p;
insert into attempt values (:p, 1, 'prepared', :f);
commit;
-- payment: the provider's own table
insert into operation values (:f, 'captured') returning outcome;
-- payment: capture
begin;
select status, amount from payment where id = :p for no key update;
update attempt set state = 'captured' where payment_id = :p and n = 1;
with logged as (insert into payment_log (payment_id, message) values (:p, 'captured')) update payment set status = 'captured' where id = :p;
with txn as (insert into ledger_txn (kind, ref) values ('capture', :p)) insert into ledger_entry (ref, account, amount) values (:p, 'provider', 1999), (:p, 'seller', -1999);
insert into order_notice values (:g, :o, now() + interval '10 seconds');
insert into outbox (shard, topic, aggregate, data) values (1, 'payment-events', :p, '{"type": "payment.captured"}');
commit;
-- order: result
begin;
insert into inbox values ('order.result', :e);
select o.status, s.data from orders o join saga s on s.order_id = o.id where o.id = :o for no key update;
update saga set phase = 'running', data = '{"step": "commit"}' where order_id = :o;
update inbox set value = '{}' where consumer = 'order.result' and event_id = :e;
commit;
-- catalog: commit
begin;
insert into inbox values ('catalog.commit', :e);
select state from hold where order_id = :o for no key update;
select on_hand, reserved from stock where product_id = :product for no key update;
with ended as (update reservation set state = 'committed' where order_id = :o), closed as (update hold set state = 'committed' where order_id = :o), booked as (insert into stock_movement (product_id, kind, units, order_id) values (:product, 'commit', -1, :o)) update stock set on_hand = on_hand - 1, reserved = reserved - 1 where product_id = :product;
insert into inventory_seq values (:f, 1) on conflict (aggregate) do update set seq = inventory_seq.seq + 1;
insert into outbox (shard, topic, aggregate, data) values (1, 'inventory-events', :f, '{"type": "stock.changed"}');
update inbox set value = '{}' where consumer = 'catalog.commit' and event_id = :e;
commit;
-- order: paid
begin;
select o.status, s.data from orders o join saga s on s.order_id = o.id where o.id = :o for no key update;
with projected as (update orders set status = 'paid', payment_status = 'paid', version = 4 where id = :o), recorded as (insert into order_event values (:o, 4, 'paid', '{}')) update saga set phase = 'done', next_at = null where order_id = :o;
insert into outbox (shard, topic, aggregate, data) values (1, 'order-events', :o, '{"type": "order.paid"}');
update idempotency set state = 'done' where scope = 'order' and key = :e and state = 'started';
commit;
-- payment: order has answered
delete from order_notice where result_id = :g;
update idempotency set state = 'done', answer = '{}' where scope = 'payment' and key = :e;
-- What the facts of an order have in common: a relay finds those that were told since its last look, and sends them together.
-- cart: relay
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'cart-events' and aggregate in (:o, :p);
delete from outbox where topic = 'cart-events' and aggregate in (:o, :p);
commit;
-- order: relay
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'order-events' and aggregate in (:o);
delete from outbox where topic = 'order-events' and aggregate in (:o);
commit;
-- catalog: relay
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'inventory-events' and aggregate in (:e, :f);
delete from outbox where topic = 'inventory-events' and aggregate in (:e, :f);
commit;
-- payment: relay
begin;
set local synchronous_commit = off;
select id, data from outbox where topic = 'payment-events' and aggregate in (:p);
delete from outbox where topic = 'payment-events' and aggregate in (:p);
commit;
-- catalog, order: what they hear of what they know already
begin;
insert into inbox values ('catalog.paid', :h);
select state from hold where order_id = :o;
update inbox set value = '{}' where consumer = 'catalog.paid' and event_id = :h;
commit;
begin;
insert into inbox values ('order.result', :e) on conflict do nothing;
select value from inbox where consumer = 'order.result' and event_id = :e;
commit;
-- order: read back
select o.status, l.product_id, l.quantity from orders o join order_line l on l.order_id = o.id where o.id = :o;
