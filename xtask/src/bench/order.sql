-- What one paid order makes PostgreSQL do, in its transactions and their order (as `log_statement` shows them), in one
-- database and on one connection: the most that a shop of these transactions can do on this machine.
\set user random(1, 1000)
\set product random(1, 60)
select gen_random_uuid() as o, gen_random_uuid() as p, gen_random_uuid() as e, gen_random_uuid() as f \gset
-- cart: add
begin;
insert into idempotency values ('cart', :e, 'started');
insert into cart_line values (:user, :product, 1) on conflict (user_id, product_id) do update set quantity = 1;
insert into outbox (shard, topic, aggregate, data) values (1, 'cart-events', :o, '{"lines": 1}');
update idempotency set state = 'done', answer = '{}' where scope = 'cart' and key = :e;
commit;
delete from outbox where topic = 'cart-events' and aggregate = :o;
-- order: claim
begin;
insert into idempotency values ('order', :e, 'started');
commit;
-- cart: take
begin;
insert into inbox values ('cart', :e);
select quantity from cart_line where user_id = :user for no key update;
delete from cart_line where user_id = :user;
insert into outbox (shard, topic, aggregate, data) values (1, 'cart-events', :p, '{"lines": 0}');
update inbox set value = '{}' where consumer = 'cart' and event_id = :e;
commit;
delete from outbox where topic = 'cart-events' and aggregate = :p;
-- catalog: quote
select product_id, on_hand, reserved from stock where product_id = :product;
-- order: create
begin;
insert into orders values (:o, nextval('order_number'), :user, 'created', 'unpaid', 1, 1999);
insert into order_line values (:o, 1, :product, 1, 1999);
insert into order_event values (:o, 1, 'created', '{}');
insert into saga values (:o, 'hold', '{}', now() + interval '900 seconds', now() + interval '10 seconds');
insert into outbox (shard, topic, aggregate, data) values (1, 'order-events', :o, '{"type": "order.created"}');
commit;
-- catalog: reserve
begin;
insert into inbox values ('catalog.reserve', :e);
select on_hand, reserved from stock where product_id = :product for no key update;
update stock set reserved = reserved + 1 where product_id = :product;
insert into hold values (:o, :product, 1, 'held');
insert into outbox (shard, topic, aggregate, data) values (1, 'inventory-events', :e, '{"type": "stock.changed"}');
update inbox set value = '{}' where consumer = 'catalog.reserve' and event_id = :e;
commit;
delete from outbox where topic = 'inventory-events' and aggregate = :e;
-- order: pending
begin;
update orders set status = 'pending', version = 2 where id = :o;
insert into order_event values (:o, 2, 'placed', '{}');
update saga set phase = 'pending' where order_id = :o;
insert into outbox (shard, topic, aggregate, data) values (1, 'order-events', :o, '{"type": "order.placed"}');
update idempotency set state = 'done', answer = '{}' where scope = 'order' and key = :e;
commit;
-- payment: claim
begin;
insert into idempotency values ('payment', :e, 'started');
insert into payment values (:p, :o, 'pending', 1999);
commit;
-- order: begin payment
begin;
insert into inbox values ('order.begin', :e);
update orders set payment_status = 'processing', version = 3 where id = :o;
insert into order_event values (:o, 3, 'processing', '{}');
update saga set phase = 'paying' where order_id = :o;
commit;
-- payment: attempt, provider, capture
begin;
insert into attempt values (:p, 1, 'prepared', :f);
commit;
begin;
select state from attempt where payment_id = :p for no key update;
update attempt set state = 'captured' where payment_id = :p and n = 1;
update payment set status = 'captured' where id = :p;
insert into ledger (payment_id, account, amount) values (:p, 'provider', 1999), (:p, 'seller', -1999);
insert into outbox (shard, topic, aggregate, data) values (1, 'payment-events', :p, '{"type": "payment.captured"}');
commit;
delete from outbox where topic = 'payment-events' and aggregate = :p;
-- order: result, catalog: commit, order: paid
begin;
insert into inbox values ('order.result', :e);
update saga set phase = 'committing' where order_id = :o;
commit;
begin;
insert into inbox values ('catalog.commit', :e);
select on_hand, reserved from stock where product_id = :product for no key update;
update hold set state = 'committed' where order_id = :o;
update stock set on_hand = on_hand - 1, reserved = reserved - 1 where product_id = :product;
insert into outbox (shard, topic, aggregate, data) values (1, 'inventory-events', :f, '{"type": "stock.changed"}');
commit;
delete from outbox where topic = 'inventory-events' and aggregate = :f;
begin;
update orders set status = 'paid', payment_status = 'paid', version = 4 where id = :o;
insert into order_event values (:o, 4, 'paid', '{}');
update saga set phase = 'done', next_at = null where order_id = :o;
insert into outbox (shard, topic, aggregate, data) values (1, 'order-events', :o, '{"type": "order.paid"}');
commit;
delete from outbox where topic = 'order-events' and aggregate = :o;
update idempotency set state = 'done', answer = '{}' where scope = 'payment' and key = :e;
-- consumers: each event once
insert into inbox values ('cart.placed', :e);
insert into inbox values ('catalog.paid', :e);
insert into inbox values ('order.captured', :e);
