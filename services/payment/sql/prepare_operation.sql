-- Opens an attempt to capture or void an authorised payment and leases it. No row if the payment is not authorised or has an
-- open attempt.
-- $1 payment id, $2 kind, $3 amount to capture or null, $4 recovery epoch, $5 duration of the lease.
update payment
set attempt = attempt + 1,
    attempt_kind = $2::text::payment_attempt_kind,
    attempt_epoch = $4::bigint,
    attempt_open = true,
    attempt_minor = $3::bigint,
    leased_until = now() + $5::interval,
    updated_at = now()
where id = $1::uuid and status = 'authorised' and not attempt_open and ($3::bigint is null or $3::bigint <= authorised_minor)
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, manual_capture,
    authorised_minor, captured_minor, refunded_minor, method, sealed_token, reference_id, authorization_code,
    response_code, response_message, next_action_type, next_action_url, result_id, seq, attempt, attempt_kind::text,
    attempt_epoch, attempt_open, attempt_minor, 0::bigint as unchanged_s, false as overdue, created_at, updated_at
