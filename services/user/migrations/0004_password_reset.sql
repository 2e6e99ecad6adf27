-- Requests to set a new password. The token of a request is derived from its id and is not stored.

create table password_reset (
    id uuid primary key,
    -- As requested, whether or not an account has it: both cost the same, so that the time of an answer tells nothing.
    email text not null,
    -- The account, once its mail is requested.
    user_id uuid constraint password_reset_user_fkey references users (id) on delete cascade,
    requested_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz
);

create index password_reset_to_announce on password_reset (requested_at) where user_id is null;
create index password_reset_by_age on password_reset (expires_at);
create index password_reset_user_id_idx on password_reset (user_id);
