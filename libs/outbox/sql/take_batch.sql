-- Takes the oldest rows of up to $1 shards that no other relay has locked, at most $2 rows, without those of the topics $3 and of
-- the aggregates $4. The shards stay locked until the transaction ends, so that the events of an aggregate are sent in order.
--
-- A row that the last holder of a lock deleted may still be in this statement's snapshot: `delete` skips it.
with shards as materialized (
    -- In random order, so that no shard starves. The commit does not wait for the disk: rows that reappear after a crash are
    -- sent again, and each consumer's inbox drops the duplicates.
    select s.shard
    from outbox_shard as s
    cross join set_config('synchronous_commit', 'off', true)
    where exists (
        select from outbox as o
        where o.shard = s.shard and o.topic <> all ($3) and o.aggregate <> all ($4)
    )
    order by random()
    limit $1
    for update of s skip locked
), batch as materialized (
    select o.id
    from outbox as o
    where o.shard in (select shard from shards) and o.topic <> all ($3) and o.aggregate <> all ($4)
    order by o.id
    limit $2
)
delete from outbox as o
using batch
where o.id = batch.id
returning
    o.id, o.topic, o.kind, o.version, o.event_id, o.aggregate, o.seq, o.epoch, o.trace, o.correlation_id, o.causation_id,
    o.data::text as data, o.created_at, (select count(*) from shards) as shards
