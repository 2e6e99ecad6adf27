-- Records that every product of term $1 has its name, unless it has another version than $2 or a product has another name.
update term as t
set rename_due = false
where
    t.id = $1 and t.version = $2
    and not exists (
        select from product as p
        where
            (p.category_id = $1 and p.category <> t.name)
            or (p.brand_id = $1 and p.brand <> t.name)
            or (p.supplier_id = $1 and p.supplier <> t.name)
    )
