-- Makes `inbox` a table that is partitioned by the time in the ids of its messages, in three steps that hold no lock for
-- long; the same in every service, copied from libs/outbox. This step bounds the ids that are accepted from now on.

-- The lowest UUIDv7 of a time, to the millisecond.
create function uuid_from_time(at timestamptz) returns uuid
language sql stable strict as $$
    select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

do $$
begin
    execute format(
        'alter table inbox add constraint inbox_bounds check (event_id >= %L and event_id < %L) not valid',
        uuid_from_time(now() - interval '14 days'),
        uuid_from_time(date_trunc('week', now(), 'UTC') + interval '336 hours')
    );
end
$$;
