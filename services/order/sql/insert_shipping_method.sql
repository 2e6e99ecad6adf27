-- Inserts a shipping method, unless there are $8. $1: code. $2: name. $3 and $4: price. $5: sum from which it is free. $6: countries.
-- $7: active.
insert into shipping_method (code, name, price_minor, currency, free_from_minor, countries, active)
select $1, $2, $3, $4, $5, $6, $7
where (select count(*) from shipping_method) < $8
returning code, name, price_minor, currency, free_from_minor, countries, active, created_at, updated_at
