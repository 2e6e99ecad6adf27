-- Tables of the shapes that one order touches, for `order.sql`.
create table if not exists idempotency (scope text, key text, state text, answer json, primary key (scope, key));
create table if not exists inbox (consumer text, event_id uuid, value json, primary key (consumer, event_id));
create table if not exists outbox (id bigserial primary key, shard int, topic text, aggregate uuid, data json);
create table if not exists orders (id uuid primary key, number bigint, user_id int, status text, payment_status text, version int, total bigint);
create table if not exists order_line (order_id uuid, line int, product_id int, quantity int, price bigint, primary key (order_id, line));
create table if not exists order_event (order_id uuid, seq int, kind text, data json, primary key (order_id, seq));
create table if not exists saga (order_id uuid primary key, phase text, data json, next_at timestamptz, lease_until timestamptz);
create index if not exists saga_due on saga (next_at);
create table if not exists stock (product_id int primary key, on_hand int, reserved int);
create table if not exists hold (order_id uuid, product_id int, units int, state text, primary key (order_id, product_id));
create table if not exists cart_line (user_id int, product_id int, quantity int, primary key (user_id, product_id));
create table if not exists payment (id uuid primary key, order_id uuid, status text, amount bigint);
create table if not exists attempt (payment_id uuid, n int, state text, provider_key text, primary key (payment_id, n));
create table if not exists ledger (id bigserial primary key, payment_id uuid, account text, amount bigint);
create sequence if not exists order_number;
insert into stock select n, 1000000000, 0 from generate_series(1, 60) n on conflict do nothing;
