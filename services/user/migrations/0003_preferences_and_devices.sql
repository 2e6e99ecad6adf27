-- Which mails a user wants, what each session was started with, and why the shop ended it.

alter table users
    add column promotions boolean not null default true,
    add column order_updates boolean not null default true,
    add column recommendations boolean not null default true;

alter table auth_session
    -- The client's own description of itself, as sent at the login.
    add column user_agent text constraint auth_session_user_agent_length check (length(user_agent) between 1 and 300),
    -- When its refresh token was used last.
    add column used_at timestamptz,
    drop constraint auth_session_end_reason,
    add constraint auth_session_end_reason
        check (end_reason in ('logout', 'reuse', 'password', 'user', 'blocked'));
