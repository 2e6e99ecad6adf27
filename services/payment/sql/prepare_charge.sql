-- Opens the next attempt to charge a payment and stores the amount due if it is not stored yet. No row if the payment is
-- not `pending`, has an open attempt, or has no amount due. Violates payment_one_live_of_an_order if another payment of the
-- order holds money.
-- $1 payment id, $2 amount due or null, $3 its currency or null, $4 recovery epoch.
update payment
set amount_minor = coalesce(amount_minor, $2::bigint),
    currency = case when amount_minor is null then $3::text else currency end,
    attempt = attempt + 1,
    attempt_kind = 'charge',
    attempt_epoch = $4::bigint,
    attempt_open = true,
    attempt_minor = null,
    deadline = null,
    updated_at = now()
where id = $1::uuid
    and status = 'pending'
    and not attempt_open
    and coalesce(amount_minor, $2::bigint) is not null
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, manual_capture,
    authorised_minor, captured_minor, refunded_minor, method, sealed_token, reference_id, authorization_code,
    response_code, response_message, next_action_type, next_action_url, result_id, seq, attempt, attempt_kind::text,
    attempt_epoch, attempt_open, attempt_minor, 0::bigint as unchanged_s, false as overdue, created_at, updated_at
