-- Opens the next attempt to capture a payment and stores the amount due if it is not stored yet. No row if the payment is
-- not `pending`, has an open attempt, or has no amount due.
-- $1 payment id, $2 amount due or null, $3 its currency or null, $4 recovery epoch.
update payment
set amount_minor = coalesce(amount_minor, $2::bigint),
    currency = case when amount_minor is null then $3::text else currency end,
    attempt = attempt + 1,
    attempt_epoch = $4::bigint,
    attempt_open = true,
    updated_at = now()
where id = $1::uuid
    and status = 'pending'
    and not attempt_open
    and coalesce(amount_minor, $2::bigint) is not null
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, refunded_minor, method,
    token, reference_id, authorization_code, response_code, response_message, result_id, seq, attempt, attempt_epoch,
    attempt_open, created_at, updated_at
