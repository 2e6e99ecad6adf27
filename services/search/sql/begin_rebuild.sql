-- Begins the next generation, unless one is being built.
insert into index_generation (number)
select max(g.number) + 1 from index_generation as g
having not bool_or(g.state = 'building')
on conflict do nothing
