-- The search index: one row per product and generation, and the words that its products contain.
--
-- Words are folded and split by the service, and vectors are sent as text: no result depends on the locale of the server.

-- A generation of the index. Searches read the newest live one; events are stored in it and in the one that is being built.
create table index_generation (
    number integer primary key,
    state text not null default 'building' constraint index_generation_state_known check (state in ('building', 'live')),
    started_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    built_at timestamptz, -- when it contained every product of the catalog; null: not yet
    products bigint not null default 0, -- products that were read from the catalog so far
    last_product uuid, -- the last one of them: the build continues after it
    builder uuid, -- the process that builds it, until leased_until
    leased_until timestamptz not null default now()
);

create unique index index_generation_one_is_built on index_generation (state) where state = 'building';

-- Filled by events, and found incomplete by the worker, which builds the next one from the catalog.
insert into index_generation (number, state) values (1, 'live');

-- Available units of a product's variant in a warehouse.
create type stock_level as (
    variant text,
    warehouse_id uuid,
    units bigint,
    version bigint
);

create table product_entry (
    generation integer not null,
    product_id uuid not null,
    version bigint not null, -- of the catalog; 0: only the stock is known
    visible boolean not null, -- false: deleted, or only the stock is known
    name text not null,
    name_key text collate "C" not null, -- what names are sorted by
    description text not null,
    sku text,
    price_amount bigint not null,
    price_currency text not null,
    category text collate "C",
    brand text collate "C",
    supplier text,
    image_url text,
    seller_id uuid not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    stock_levels stock_level[] not null default '{}',
    stock bigint not null default 0, -- the sum of their units
    headline tsvector not null, -- words of name and SKU (A), brand, category and supplier (B)
    search tsvector not null, -- these, and the words of the description (C)
    stored_at timestamptz not null default now(),
    primary key (generation, product_id)
) with (fillfactor = 80); -- a change of stock keeps its row on the page, and changes no index

-- Without the list of pending entries, which every search would read.
create index product_entry_headline on product_entry using gin (headline) with (fastupdate = off) where visible;
create index product_entry_search on product_entry using gin (search) with (fastupdate = off) where visible;
create index product_entry_by_creation on product_entry (generation, created_at, product_id) where visible;
create index product_entry_by_price on product_entry (generation, price_amount, product_id) where visible;
create index product_entry_by_name on product_entry (generation, name_key, product_id) where visible;
create index product_entry_by_category on product_entry (generation, category, created_at, product_id) where visible;
create index product_entry_by_brand on product_entry (generation, brand, created_at, product_id) where visible;
create index product_entry_hidden on product_entry (stored_at) where not visible;

-- Words of the products, for prefixes and corrections. Words of changed and deleted products stay until the next generation.
create table term (
    generation integer not null,
    term text collate "C" not null,
    trigram_key text collate "C" not null, -- the word in ASCII
    primary key (generation, term)
);

-- A product as the catalog sent it.
create type product_change as (
    product_id uuid,
    version bigint,
    visible boolean,
    name text,
    name_key text,
    description text,
    sku text,
    price_amount bigint,
    price_currency text,
    category text,
    brand text,
    supplier text,
    image_url text,
    seller_id uuid,
    created_at timestamptz,
    updated_at timestamptz,
    headline text,
    search text
);

create type stock_change as (
    product_id uuid,
    variant text,
    warehouse_id uuid,
    units bigint,
    version bigint
);

-- The newest version of each level.
create function newest_levels(known stock_level[], changed stock_level[]) returns stock_level[]
language sql immutable parallel safe
return (
    select coalesce(array_agg(row(l.variant, l.warehouse_id, l.units, l.version)::stock_level), '{}')
    from (
        select distinct on (u.variant, u.warehouse_id) u.variant, u.warehouse_id, u.units, u.version
        from unnest(known || changed) as u
        order by u.variant, u.warehouse_id, u.version desc
    ) as l
);

create function units_of(levels stock_level[]) returns bigint
language sql immutable parallel safe
return (select coalesce(sum(l.units), 0)::bigint from unnest(levels) as l);

-- Words of a generation that look like one that it does not contain, the most similar first.
--
-- pg_trgm comes with PostgreSQL and is trusted: the owner of the database may create it. A server that was built without it
-- finds no similar words.
do $$
begin
    if exists (select from pg_available_extensions where name = 'pg_trgm') then
        create extension if not exists pg_trgm;
        create index term_by_trigram on term using gin (trigram_key gin_trgm_ops) with (fastupdate = off);
        create function similar_terms(number integer, key text, most integer) returns text[]
        language sql stable
        set pg_trgm.similarity_threshold = '0.2'
        as $sql$
            select array(
                select t.term
                from term as t
                where t.generation = number and t.trigram_key % key
                order by similarity(t.trigram_key, key) desc, t.term
                limit most
            )
        $sql$;
    else
        raise warning 'pg_trgm is not installed on this server: searches do not correct misspelt words';
        create function similar_terms(number integer, key text, most integer) returns text[]
        language sql stable
        return '{}'::text[];
    end if;
end
$$;
