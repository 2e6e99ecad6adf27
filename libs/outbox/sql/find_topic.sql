-- The oldest $2 rows of the topic $1, and of the aggregates $3 if it is not null, in shards that no other relay has locked. The
-- shards stay locked until the transaction ends. `for update` skips a row that the last holder of a lock deleted.
with shards as materialized (
    select s.shard
    from outbox_shard as s
    where exists (select from outbox as o where o.shard = s.shard and o.topic = $1)
    for update of s skip locked
)
select
    o.id, o.topic, o.kind, o.version, o.event_id, o.aggregate, o.seq, o.epoch, o.trace, o.correlation_id, o.causation_id,
    o.data::text as data, o.created_at, 0::bigint as shards
from outbox as o
where o.shard in (select shard from shards) and o.topic = $1 and ($3::uuid[] is null or o.aggregate = any ($3))
order by o.id
limit $2
for update of o
