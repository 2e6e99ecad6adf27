-- Deletes $1 words of generations before the live one.
delete from term
where ctid = any(array(
    select t.ctid
    from term as t
    where t.generation < (select max(g.number) from index_generation as g where g.state = 'live')
    order by t.generation, t.term
    limit $1
))
