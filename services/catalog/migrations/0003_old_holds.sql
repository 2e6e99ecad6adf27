-- Holds that ended without a sale, by age: what the sweep looks for among many that were sold.
create index hold_to_forget on hold (updated_at) where state in ('released', 'expired', 'tombstone');
