-- Users whose accounts were erased, by the id of their cart. No foreign key: a user may have no cart. `epoch` and `seq`: the
-- number of the event that was last heard of the account; `erased`: false once a restore of the user service's database has
-- brought the account back. `look_at`: when the cart is looked at once more, because a request or a cancelled checkout may
-- have filled it at the moment of the erasure.
create table erased_cart (
    cart_id uuid not null,
    epoch bigint not null,
    seq bigint not null,
    erased boolean not null,
    erased_at timestamptz not null default now(),
    look_at timestamptz,
    constraint erased_cart_pkey primary key (cart_id),
    constraint erased_cart_look_if_erased check (erased or look_at is null)
);

create index erased_cart_by_age on erased_cart (erased_at);
create index erased_cart_to_look_at on erased_cart (look_at) where look_at is not null;
