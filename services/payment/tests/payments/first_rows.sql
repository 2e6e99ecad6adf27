-- Rows of the tables before migration 3: a retried and refunded payment, one with an open attempt, and one without.
insert into payment (id, order_id, user_id, door, claimed_minor, amount_minor, currency, status, captured_minor, refunded_minor, method, token, leased_until, seq)
values ('00000000-0000-0000-0000-0000000000a1', gen_random_uuid(), gen_random_uuid(), 'request', null, 1000, 'EUR', 'partially_refunded', 1000, 300, 'card', null, now(), 2),
       ('00000000-0000-0000-0000-0000000000a2', gen_random_uuid(), gen_random_uuid(), 'order', 500, 500, 'EUR', 'pending', 0, 0, 'card', 'tok', now(), 0),
       ('00000000-0000-0000-0000-0000000000a3', gen_random_uuid(), gen_random_uuid(), 'request', 500, null, null, 'pending', 0, 0, 'card', 'tok', now(), 0);
insert into payment_attempt (intent_id, payment_id, operation, n, amount_minor, provider_key, state, leased_until)
values ('00000000-0000-0000-0000-0000000000a1','00000000-0000-0000-0000-0000000000a1','capture',1,1000,'0:a1:capture:1','failed',now()),
('00000000-0000-0000-0000-0000000000a1','00000000-0000-0000-0000-0000000000a1','capture',2,1000,'3:a1:capture:2','succeeded',now()),
('00000000-0000-0000-0000-0000000000b1','00000000-0000-0000-0000-0000000000a1','refund',1,300,'3:a1:refund:1','succeeded',now()),
('00000000-0000-0000-0000-0000000000a2','00000000-0000-0000-0000-0000000000a2','capture',1,500,'0:a2:capture:1','prepared',now());
insert into payment_log (payment_id, log_message) select id, 'begun' from payment;
begin;
insert into ledger_txn (kind, ref) values ('capture','00000000-0000-0000-0000-0000000000a1'),('refund','00000000-0000-0000-0000-0000000000b1');
insert into ledger_entry (txn_id, account, seller_id, currency, amount_minor) values (1,'provider','00000000-0000-0000-0000-000000000001','EUR',1000),(1,'seller','00000000-0000-0000-0000-000000000001','EUR',-1000),(2,'provider','00000000-0000-0000-0000-000000000001','EUR',-300),(2,'seller','00000000-0000-0000-0000-000000000001','EUR',300);
commit;
insert into order_notice (result_id, payment_id, order_id, status, due_at) select gen_random_uuid(), id, order_id, status, now() from payment where id='00000000-0000-0000-0000-0000000000a1';
