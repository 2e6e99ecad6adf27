-- Notifications of users, the mails that wait, recipients, campaigns, and what was given up.

-- What user events say of a user. The address comes from the newest event that has one, name and preferences from the newest
-- one of the profile: the row is the same in whatever order the events arrive. An event of a later recovery epoch is newer than
-- any of an earlier one.
create table recipient (
    user_id uuid not null,
    email text not null,
    email_epoch bigint not null,
    email_seq bigint not null,
    name text,
    promotions boolean not null default true,
    order_updates boolean not null default true,
    recommendations boolean not null default true,
    profile_epoch bigint not null default 0,
    profile_seq bigint not null default 0,
    constraint recipient_pk primary key (user_id)
);

create index recipient_of_promotions on recipient (user_id) where promotions;

-- `id` is derived from the source (an event, a promotion or a request) and the user: a repetition finds it.
create table notification (
    id uuid not null,
    source_id uuid not null,
    user_id uuid not null,
    kind text not null,
    priority text not null,
    subject text not null,
    summary text not null,
    content jsonb not null,
    metadata jsonb not null default '{}',
    read_at timestamptz,
    mail text not null,
    mail_error text,
    sent_at timestamptz,
    tracking_id uuid,
    opened_at timestamptz,
    created_at timestamptz not null,
    search tsvector not null generated always as (to_tsvector('simple'::regconfig, subject || ' ' || summary)) stored,
    constraint notification_pk primary key (id),
    constraint notification_kind_known
        check (kind in ('USER_UPDATE', 'ORDER_UPDATE', 'PROMOTION', 'EMAIL', 'RECOMMENDATION')),
    constraint notification_priority_known check (priority in ('critical', 'standard')),
    constraint notification_mail_known
        check (mail in ('pending', 'sent', 'suppressed', 'opted_out', 'expired', 'failed'))
) with (fillfactor = 80);

create index notification_of_user on notification (user_id, created_at desc, id desc);
create index notification_newest on notification (created_at desc, id desc);
create index notification_search on notification using gin (search);
create unique index notification_tracking on notification (tracking_id) where tracking_id is not null;

-- The mails that are not sent yet: a lease moves `due_at` on, an end deletes the row.
create table mail_queue (
    notification_id uuid not null,
    priority text not null,
    attempts integer not null default 0,
    -- Attempts that the server refused for good.
    refusals integer not null default 0,
    due_at timestamptz not null default now(),
    queued_at timestamptz not null default now(),
    constraint mail_queue_pk primary key (notification_id),
    constraint mail_queue_priority_known check (priority in ('critical', 'standard'))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index mail_queue_due on mail_queue (priority, due_at);

-- Token buckets of standard mails, by user; the nil id is that of all users.
create table mail_bucket (
    bucket_id uuid not null,
    tokens double precision not null,
    updated_at timestamptz not null default now(),
    constraint mail_bucket_pk primary key (bucket_id)
);

create index mail_bucket_by_age on mail_bucket (updated_at);

-- Promotions that users are notified of, in the order of their ids. `due_at` is null once all were notified or the promotion is over.
create table campaign (
    promotion_id uuid not null,
    content jsonb,
    after_user uuid not null default '00000000-0000-0000-0000-000000000000',
    recipients bigint not null default 0,
    due_at timestamptz,
    created_at timestamptz not null default now(),
    constraint campaign_pk primary key (promotion_id)
);

create index campaign_due on campaign (due_at) where due_at is not null;
create index campaign_by_age on campaign (created_at);

-- What was given up: messages of every service, by the events of `dead-letter-queue`, and this service's mails.
create table dead_letter_entry (
    id uuid not null,
    kind text not null,
    consumer text not null,
    topic text,
    partition integer,
    "offset" bigint,
    headers jsonb not null default '{}',
    payload bytea,
    notification_id uuid,
    reason text not null,
    state text not null default 'open',
    decided_by uuid,
    decided_at timestamptz,
    note text,
    created_at timestamptz not null,
    constraint dead_letter_entry_pk primary key (id),
    constraint dead_letter_entry_kind_known check (kind in ('message', 'mail')),
    constraint dead_letter_entry_state_known check (state in ('open', 'replayed', 'discarded'))
);

create index dead_letter_entry_newest on dead_letter_entry (created_at desc, id desc);
create index dead_letter_entry_by_state on dead_letter_entry (state, created_at desc, id desc);

-- A row to store in recipient. Without a profile, the event says nothing of name and preferences.
create type recipient_change as (
    user_id uuid,
    email text,
    epoch bigint,
    seq bigint,
    has_profile boolean,
    name text,
    promotions boolean,
    order_updates boolean,
    recommendations boolean
);

-- A row to store in notification.
create type new_notification as (
    id uuid,
    source_id uuid,
    user_id uuid,
    kind text,
    priority text,
    subject text,
    summary text,
    content text,
    metadata text,
    tracking_id uuid,
    created_at timestamptz
);
