-- Deletes the generations before the live one, of which nothing is left.
delete from index_generation as g
where
    g.number < (select max(l.number) from index_generation as l where l.state = 'live')
    and g.number < coalesce((select min(e.generation) from product_entry as e), g.number + 1)
    and g.number < coalesce((select min(t.generation) from term as t), g.number + 1)
