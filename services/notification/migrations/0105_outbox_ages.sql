-- Indexes for the deletion of old dead letters and of old events that were set aside: a fault of a consumer or of the broker may
-- leave many; the same in every service, copied from libs/outbox.

create index dead_letter_by_age on dead_letter (last_at);
create index outbox_set_aside_by_age on outbox_set_aside (set_aside_at);
