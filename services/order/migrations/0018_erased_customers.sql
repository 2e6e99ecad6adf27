-- Users whose accounts were erased, and what their orders then lose.

-- The row of an erased user stays without address and name, with the number of the erasure, so that older events that arrive
-- later store nothing. `erase_at`: when the worker looks for orders of the user that have ended since; null once no order of
-- the user has personal fields.
alter table customer
    alter column email drop not null,
    add column erased_at timestamptz,
    add column erase_at timestamptz,
    add constraint customer_known_or_erased check ((email is null) = (erased_at is not null)),
    add constraint customer_erased_is_empty check (erased_at is null or (name is null and blocked)),
    add constraint customer_erase_at_if_erased check (erase_at is null or erased_at is not null);

create index customer_erase_due on customer (erase_at) where erase_at is not null;

-- An entry of the history without what identifies a person: the shipping address, the reason of a return.
create function order_change_without_person(change jsonb) returns jsonb language sql immutable as $$
    select case
        when change ? 'created' then jsonb_set(change, '{created,address}', 'null')
        when change ? 'return_requested' then jsonb_set(change, '{return_requested,reason}', '""')
        else change
    end
$$;

-- The history is append-only but for that.
drop trigger order_event_append_only on order_event;

create or replace function order_event_is_append_only() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if row (new.order_id, new.seq, new.kind, new.at) is not distinct from row (old.order_id, old.seq, old.kind, old.at)
            and new.data is not distinct from order_change_without_person(old.data)
        then
            return new;
        end if;
    end if;
    raise exception 'order_event is append-only' using
        errcode = 'restrict_violation', constraint = 'order_event_append_only';
end
$$;

create trigger order_event_append_only before update or delete on order_event
    for each row execute function order_event_is_append_only();

create trigger order_event_not_truncated before truncate on order_event
    for each statement execute function order_event_is_append_only();
