-- Writes a payment whose row the transaction has locked.
-- $1 payment id, $2 payment_change.
update payment as p
set status = c.status::payment_status,
    amount_minor = c.amount_minor,
    currency = coalesce(c.currency, p.currency),
    authorised_minor = c.authorised_minor,
    captured_minor = c.captured_minor,
    refunded_minor = c.refunded_minor,
    sealed_token = c.sealed_token,
    reference_id = c.reference_id,
    authorization_code = c.authorization_code,
    response_code = c.response_code,
    response_message = c.response_message,
    next_action_type = c.next_action_type,
    next_action_url = c.next_action_url,
    result_id = c.result_id,
    seq = c.seq,
    attempt_open = c.attempt_open,
    updated_at = now()
from (select ($2::payment_change).*) as c
where p.id = $1::uuid
