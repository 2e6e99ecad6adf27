-- The simulated provider: the payer's bank answers a challenge. No effect on a charge that does not wait for one.
-- $1 reference, $2 whether the bank approves.
update simulator.operation
set outcome = case
        when not $2::boolean then 'declined'::simulator.outcome
        when manual_capture then 'authorised'
        else 'succeeded'
    end,
    captured_minor = case when $2::boolean and not manual_capture then amount_minor else 0 end,
    authorization_code = case when $2::boolean then upper(left(md5('auth' || key), 6)) end,
    code = case when $2::boolean then 'approved' else 'authentication_failed' end,
    message = case when $2::boolean then 'approved' else 'the payer was not authenticated' end
where reference = $1::text and kind = 'charge' and outcome = 'action_required'
