-- Puts a partitioned table in the place of `inbox`, whose rows become its first partition: the checked bounds spare a scan.
--
-- A message's id is a UUIDv7: the time when the message was made travels with it, and determines its partition. A message of
-- a time without a partition violates the partitioning and is not applied.
do $$
declare
    bounds text[] := (
        select regexp_match(pg_get_expr(conbin, conrelid), '''([0-9a-f-]{36})''.*''([0-9a-f-]{36})''')
        from pg_constraint
        where conrelid = 'inbox'::regclass and conname = 'inbox_bounds'
    );
begin
    -- The id says when a message was made. A release that deletes row by row, by `ctid`, fails for want of the column: `ctid`
    -- does not identify a row of several partitions.
    alter table inbox drop column processed_at;
    alter table inbox rename constraint inbox_pk to inbox_first_pk;
    alter table inbox rename to inbox_first;
    create table inbox (
        consumer text not null,
        event_id uuid not null,
        value json,
        constraint inbox_pk primary key (consumer, event_id)
    ) partition by range (event_id);
    execute format('alter table inbox attach partition inbox_first for values from (%L) to (%L)', bounds[1], bounds[2]);
    alter table inbox_first drop constraint inbox_bounds;
end
$$;

-- The partitions of `inbox`: each holds the ids from `first_id` up to, but without, `end_id`.
create view inbox_partition as
select c.relname::text as name, bounds[1]::uuid as first_id, bounds[2]::uuid as end_id
from pg_inherits as i
join pg_class as c on c.oid = i.inhrelid
cross join regexp_match(pg_get_expr(c.relpartbound, c.oid), '''([0-9a-f-]{36})''.*''([0-9a-f-]{36})''') as bounds
where i.inhparent = 'inbox'::regclass;

-- Creates the missing partitions of the weeks from `first_time` to `last_time`, after the last one that exists. Returns how
-- many. Nobody waits who reads or writes.
create function inbox_create_partitions(first_time timestamptz, last_time timestamptz) returns integer
language plpgsql as $$
declare
    -- In hours: a day of the session's time zone may have 23.
    one_week constant interval := interval '168 hours';
    week timestamptz := date_trunc('week', first_time, 'UTC');
    begins uuid;
    ends uuid;
    partition text;
    created integer := 0;
begin
    -- Of two replicas, one waits for the other.
    lock table inbox in share update exclusive mode;
    begins := greatest((select p.end_id from inbox_partition as p order by p.end_id desc limit 1), uuid_from_time(week));
    while week <= last_time loop
        ends := uuid_from_time(week + one_week);
        if ends > begins then
            partition := to_char(week at time zone 'UTC', '"inbox_"YYYY_MM_DD');
            -- Attached after its creation: to create it as a partition would lock all others out.
            execute format('create table %I (like inbox including all)', partition);
            execute format('alter table inbox attach partition %I for values from (%L) to (%L)', partition, begins, ends);
            begins := ends;
            created := created + 1;
        end if;
        week := week + one_week;
    end loop;
    return created;
end
$$;

-- Drops the partitions that hold no message made after `before_time`. Returns how many. Writers wait for at most the lock time-out:
-- a reader that lasts longer makes this fail, and the caller tries again later.
create function inbox_drop_partitions(before_time timestamptz) returns integer
language plpgsql
set lock_timeout = '200ms'
as $$
declare
    expired text;
    dropped integer := 0;
begin
    -- Another replica may be faster.
    for expired in
        select p.name from inbox_partition as p where p.end_id <= uuid_from_time(before_time)
    loop
        execute format('drop table if exists %I', expired);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
