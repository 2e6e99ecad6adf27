-- Ids of orders with their history entries, in sequence; of orders without an entry and of histories without an order too.
-- $1: only after this id. $2: limit.
with page as (
    select id
    from (
        (select id from orders where id > $1 order by id limit $2)
        union
        (select order_id from order_event where order_id > $1 and seq = 1 order by order_id limit $2)
    ) as ids
    order by id
    limit $2
)
select page.id, history.seqs, history.changes, history.times
from page
cross join lateral (
    select
        coalesce(array_agg(e.seq order by e.seq), '{}') as seqs,
        coalesce(array_agg(e.data order by e.seq), '{}') as changes,
        coalesce(array_agg(e.at order by e.seq), '{}') as times
    from order_event as e
    where e.order_id = page.id
) as history
order by page.id
