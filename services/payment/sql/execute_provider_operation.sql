-- The simulated provider: executes an operation and returns it. A key that exists keeps its first outcome, which is
-- returned, also to a call that waited for a concurrent one.
-- $1 key, $2 kind, $3 amount, $4 currency, $5 outcome, $6 code, $7 message, $8 whether a charge is captured later.
insert into simulator.operation as o (
    key, kind, amount_minor, currency, outcome, reference, authorization_code, code, message, captured_minor,
    manual_capture
)
values (
    $1::text, $2::text::simulator.kind, $3::bigint, $4::text, $5::text::simulator.outcome,
    case when $5::text = 'never' then '' else 'sim_' || md5($1::text) end,
    case when $5::text in ('succeeded', 'authorised') then upper(left(md5('auth' || $1::text), 6)) end,
    $6::text, $7::text, case when $2::text = 'charge' and $5::text = 'succeeded' then $3::bigint else 0 end, $8::boolean
)
on conflict (key) do update set key = o.key
returning outcome::text, reference, authorization_code, code, message, amount_minor, captured_minor, currency
