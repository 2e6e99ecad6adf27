-- Stores differences between the ledger and the provider. One that is stored already is replaced.
-- $1 differences.
insert into reconciliation_difference (
    kind, reference_id, category, here_minor, here_currency, there_minor, there_currency, moved_at
)
select kind, reference_id, category, here_minor, here_currency, there_minor, there_currency, moved_at
from unnest($1::reconciliation_row[])
on conflict (kind, reference_id) do update
set category = excluded.category,
    here_minor = excluded.here_minor,
    here_currency = excluded.here_currency,
    there_minor = excluded.there_minor,
    there_currency = excluded.there_currency,
    moved_at = excluded.moved_at
