-- Deletes messages of the provider that were processed long ago.
-- $1 age, $2 number of messages at most.
delete from provider_event
where ctid = any (array(
    select ctid
    from provider_event
    where processed_at >= '-infinity' and processed_at < now() - $1::interval
    order by processed_at
    limit $2::bigint
))
