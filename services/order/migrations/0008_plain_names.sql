-- The keys of stored JSON get the names that the code and the columns have.
--
-- order_event is append-only for every other statement; this one changes names of keys and no value.

alter table order_event disable trigger order_event_append_only;

update order_event
set data = jsonb_build_object(
    'created',
    ((data -> 'created') - array['standing', 'facts']) || jsonb_build_object(
        'progress', data -> 'created' -> 'standing',
        'event_seq', data -> 'created' -> 'facts'
    )
)
where (data -> 'created') ? 'standing';

alter table order_event enable trigger order_event_append_only;

update orders
set saga = (saga - array['give_back', 'over', 'asked']) || jsonb_strip_nulls(jsonb_build_object(
    'cancel_checkout', saga -> 'give_back',
    'ended_payments', saga -> 'over',
    'queries', saga -> 'asked'
))
where saga ?| array['give_back', 'over', 'asked'];

-- The orders that duplicates of a cancellation or of a change of status return.
update idempotency
set answer = jsonb_build_object(
    'done',
    ((answer::jsonb -> 'done') - array['standing', 'facts']) || jsonb_build_object(
        'progress', answer::jsonb -> 'done' -> 'standing',
        'event_seq', answer::jsonb -> 'done' -> 'facts'
    )
)::json
where (answer::jsonb -> 'done') ? 'standing';
