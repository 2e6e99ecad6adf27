-- New values of enumerations, in a migration of their own: PostgreSQL uses a new value only after its transaction.
-- `authorised`: money is held and not captured. Behind it, money was captured.
alter type payment_status add value 'authorised' before 'captured';
alter type simulator.outcome add value 'action_required';
alter type simulator.outcome add value 'authorised';
alter type simulator.outcome add value 'voided';
