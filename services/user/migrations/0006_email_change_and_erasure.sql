-- Changes of e-mail addresses that wait for their confirmation, and accounts that are erased.

-- At most one of each user. The token of a request is derived from its id and is not stored.
create table email_change (
    id uuid primary key,
    user_id uuid not null,
    new_email text not null,
    -- The session that requested it, which stays when the others end. No foreign key: the session may be deleted before.
    auth_session_id uuid not null,
    requested_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint email_change_user_key unique (user_id),
    constraint email_change_user_fkey foreign key (user_id) references users (id) on update cascade on delete cascade,
    constraint email_change_new_email_folded check (new_email = lower(new_email) and length(new_email) <= 254)
);

create index email_change_by_age on email_change (expires_at);

-- The row of an erased account stays without personal fields: its sessions are revoked by it, and a repetition finds it.
alter table users
    alter column email drop not null,
    drop constraint users_status_known,
    add constraint users_status_known check (status in ('active', 'blocked', 'erased')),
    add constraint users_email_unless_erased check ((email is null) = (status = 'erased')),
    add constraint users_erased_is_empty check (
        status <> 'erased'
        or (
            num_nonnulls(username, firstname, lastname, name, phone) = 0
            and cardinality(roles) = 0
            and password_hash = ''
        )
    );

-- Whether another administrator is left.
create index users_administrators on users (id) where 'admin' = any (roles);

alter table auth_session
    drop constraint auth_session_end_reason,
    add constraint auth_session_end_reason
        check (end_reason in ('logout', 'reuse', 'password', 'user', 'blocked', 'email', 'erased'));
