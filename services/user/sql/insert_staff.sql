-- Creates the account ($1) of a member of the staff with e-mail address ($2), name ($3) and roles ($4): it has no password, and
-- wants no mails of the shop.
insert into users (id, email, name, roles, password_hash, event_seq, promotions, recommendations)
values ($1, $2, $3, $4, '', 1, false, false)
returning
    id, email, username, firstname, lastname, name, phone, roles, status, promotions, order_updates, recommendations,
    created_at, updated_at
