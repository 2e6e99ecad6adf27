-- Stores words ($1) and their trigram keys ($2) in the generation $3, or in the live one and the one that is being built if
-- $3 is null.
insert into term (generation, term, trigram_key)
select g.number, w.term, w.trigram_key
from unnest($1::text[], $2::text[]) as w (term, trigram_key)
cross join index_generation as g
where
    g.number = coalesce($3::integer, g.number)
    and g.number >= (select max(l.number) from index_generation as l where l.state = 'live')
order by g.number, w.term
on conflict do nothing
