alter table thing add column name text;
-- Long enough that two migrations at once would meet.
select pg_sleep(0.2);
