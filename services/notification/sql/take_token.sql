-- Takes a token of a bucket ($1) that holds at most $2 and gets $3 a second. Returns no row if it has none.
insert into mail_bucket as b (bucket_id, tokens)
values ($1, $2::double precision - 1)
on conflict on constraint mail_bucket_pk do update
    set
        tokens = least($2, b.tokens + greatest(0, extract(epoch from now() - b.updated_at)) * $3) - 1,
        updated_at = now()
    where least($2, b.tokens + greatest(0, extract(epoch from now() - b.updated_at)) * $3) >= 1
returning tokens
