-- Roles of the staff, and accounts of the staff that log in at an identity provider.

alter table users
    drop constraint users_roles_known,
    add constraint users_roles_known
        check (roles <@ array['customer', 'support', 'catalog', 'warehouse', 'finance', 'admin']);

alter table auth_session
    drop constraint auth_session_end_reason,
    add constraint auth_session_end_reason
        check (end_reason in ('logout', 'reuse', 'password', 'user', 'blocked', 'email', 'erased', 'roles'));

-- Who a user is at the identity provider of the staff. The account has no password, and its roles come with each login.
create table staff_identity (
    issuer text not null,
    subject text not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    constraint staff_identity_key primary key (issuer, subject),
    constraint staff_identity_user_key unique (user_id),
    constraint staff_identity_user_fkey foreign key (user_id) references users (id) on update cascade on delete cascade,
    constraint staff_identity_issuer_length check (length(issuer) between 1 and 512),
    constraint staff_identity_subject_length check (length(subject) between 1 and 255)
);

-- Logins that were begun and not ended: what the browser must bring back, as a digest, and what the provider must repeat.
create table staff_login (
    state_digest bytea primary key,
    nonce text not null,
    code_verifier text not null,
    begun_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint staff_login_state_length check (length(state_digest) = 32)
);

create index staff_login_by_age on staff_login (expires_at);
