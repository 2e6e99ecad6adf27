-- Deletes the rows outside the bounds, whose messages are rejected from now on, and checks that none is left. Reads the whole
-- table; it can be read and written meanwhile.
do $$
declare
    bounds text := (
        select pg_get_expr(conbin, conrelid) from pg_constraint
        where conrelid = 'inbox'::regclass and conname = 'inbox_bounds'
    );
begin
    execute format('delete from inbox where not %s', bounds);
end
$$;

alter table inbox validate constraint inbox_bounds;
