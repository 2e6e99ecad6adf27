-- Reads of each word of a query ($1, with trigram keys $2) whether the live generation has a word that begins with it, and if
-- not, at most $3 words that are similar.
with live as materialized (
    select max(g.number) as number from index_generation as g where g.state = 'live'
)
select w.word, k.is_known, case when k.is_known then '{}' else similar_terms(live.number, w.trigram_key, $3) end as similar
from live
cross join unnest($1::text[], $2::text[]) as w (word, trigram_key)
cross join lateral (
    select exists (
        select from term as t
        where t.generation = live.number and t.term >= w.word and t.term < w.word || chr(1114111)
    ) as is_known
) as k
