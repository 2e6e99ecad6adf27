-- Inserts variant $1 of product $2, which the transaction has locked: name $3, stock keeping unit $4, price $5, options $6.
-- Inserts nothing if the product has $7 variants.
insert into variant (id, product_id, name, sku, price_amount, options)
select $1, $2, $3, $4, $5, $6
where (select count(*) from variant as v where v.product_id = $2 and v.deleted_at is null) < $7
returning id
