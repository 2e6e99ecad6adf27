-- The trace of the event that a mail or a webhook is about, as a W3C `traceparent`: the attempt to send it belongs to that trace.

alter table mail_queue add column trace text;
alter table webhook_event add column trace text;
