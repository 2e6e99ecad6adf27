-- Captures and refunds of the ledger between two times, and those whose references the provider reports.
-- $1 from, $2 before, $3 references.
select 'capture' as kind, p.reference_id, j.amount_minor, j.currency, j.at
from ledger_journal as j
join payment as p on p.id = j.ref
where j.kind = 'capture' and j.at >= $1::timestamptz and j.at < $2::timestamptz and p.reference_id is not null
union
select 'capture', p.reference_id, j.amount_minor, j.currency, j.at
from payment as p
join ledger_journal as j on j.ref = p.id and j.kind = 'capture'
where p.reference_id = any ($3::text[])
union
select 'refund', a.reference_id, j.amount_minor, j.currency, j.at
from ledger_journal as j
join refund_attempt as a on a.refund_id = j.ref and a.state = 'succeeded'
where j.kind = 'refund' and j.at >= $1::timestamptz and j.at < $2::timestamptz and a.reference_id is not null
union
select 'refund', a.reference_id, j.amount_minor, j.currency, j.at
from refund_attempt as a
join ledger_journal as j on j.ref = a.refund_id and j.kind = 'refund'
where a.reference_id = any ($3::text[]) and a.state = 'succeeded'
