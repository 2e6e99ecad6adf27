-- The index of the search in names and descriptions: by trigrams, so that it finds any part of a word.
--
-- pg_trgm comes with PostgreSQL and is trusted: the owner of the database may create it. A server that was built without it
-- searches by reading all products, within the time limit of such reads.
do $$
begin
    if exists (select from pg_available_extensions where name = 'pg_trgm') then
        create extension if not exists pg_trgm;
        -- Without the list of pending entries, which hides the index from the planner until the next vacuum: products are
        -- searched far more often than changed.
        create index product_search on product using gin (name gin_trgm_ops, description gin_trgm_ops)
            with (fastupdate = off)
            where deleted_at is null;
    else
        raise warning 'pg_trgm is not installed on this server: searches read all products';
    end if;
end
$$;
