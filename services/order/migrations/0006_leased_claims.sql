-- The index of 0005 fitted every question for a claim that is under way: a plan made while the table was empty asked it, not
-- the one by point, and read all open claims for each order. Only who looks for claims by their lease can ask this one.

drop index idempotency_unsettled;

create index idempotency_leased on idempotency (created_at) where lease_until is not null;
