-- Sessions that ended while access tokens of theirs may be valid. Every service refuses those tokens: the list in Redis that they
-- read is written from this table.

create table blocked_auth (
    -- In about the order in which the sessions ended.
    id bigint generated always as identity primary key,
    auth_session_id uuid not null,
    revoked_at timestamptz not null default now(),
    -- Null: not in the list yet.
    published_at timestamptz,
    constraint blocked_auth_session_key unique (auth_session_id),
    constraint blocked_auth_session_fkey foreign key (auth_session_id)
        references auth_session (id) on update cascade on delete cascade
);

create index blocked_auth_to_publish on blocked_auth (id) where published_at is null;
create index blocked_auth_by_age on blocked_auth (revoked_at);
