-- Deletes $1 products of generations before the live one.
delete from product_entry
where ctid = any(array(
    select e.ctid
    from product_entry as e
    where e.generation < (select max(g.number) from index_generation as g where g.state = 'live')
    order by e.generation, e.product_id
    limit $1
))
