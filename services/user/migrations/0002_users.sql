-- Accounts, their sessions with the refresh tokens that descend from each login, and their address books.

create table users (
    id uuid primary key,
    email text not null,
    username text,
    firstname text,
    lastname text,
    name text,
    phone text,
    roles text[] not null,
    status text not null default 'active',
    password_hash text not null,
    -- Last number given to a fact of this user; facts are numbered from 1 without gaps.
    event_seq bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint users_email_key unique (email),
    constraint users_email_folded check (email = lower(email) and length(email) <= 254),
    constraint users_username_length check (length(username) between 3 and 32),
    constraint users_firstname_length check (length(firstname) between 1 and 100),
    constraint users_lastname_length check (length(lastname) between 1 and 100),
    constraint users_name_length check (length(name) between 1 and 200),
    constraint users_phone_length check (length(phone) between 6 and 16),
    constraint users_roles_known check (roles <@ array['customer', 'admin']),
    constraint users_status_known check (status in ('active', 'blocked'))
);

create unique index users_username_key on users (lower(username));

create table addresses (
    id uuid primary key,
    user_id uuid not null,
    recipient text,
    street text not null,
    city text not null,
    state text,
    postal_code text,
    country text not null,
    created_at timestamptz not null default now(),
    constraint addresses_user_fkey foreign key (user_id) references users (id) on update cascade on delete cascade,
    constraint addresses_country_code check (country ~ '^[A-Z]{2}$')
);

create index addresses_user_id_idx on addresses (user_id, id);

-- One login; the family of refresh tokens that descends from it.
create table auth_session (
    id uuid primary key,
    user_id uuid not null,
    token_type text not null default 'refresh',
    ip inet,
    issued_at timestamptz not null default now(),
    -- The absolute end, whatever the use.
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text,
    constraint auth_session_user_fkey foreign key (user_id) references users (id) on update cascade on delete cascade,
    constraint auth_session_end check ((ended_at is null) = (end_reason is null)),
    constraint auth_session_end_reason check (end_reason in ('logout', 'reuse', 'password'))
);

create index auth_session_user_id_idx on auth_session (user_id);
create index auth_session_expires_at_idx on auth_session (expires_at);

-- Only SHA-256 digests: who reads this table cannot refresh with what he finds.
create table refresh_token (
    digest bytea primary key,
    session_id uuid not null,
    issued_at timestamptz not null default now(),
    -- The idle end.
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint refresh_token_digest_length check (length(digest) = 32),
    constraint refresh_token_session_fkey foreign key (session_id)
        references auth_session (id) on update cascade on delete cascade
);

create index refresh_token_session_id_idx on refresh_token (session_id);
