-- Stores the vote ($3) of a user ($1) on a locked product ($2) in place of an earlier one, and counts it. Returns the votes of
-- all users on the product.
with earlier as (
    select positive from feedback where user_id = $1 and product_id = $2
),
voted as (
    insert into feedback as f (user_id, product_id, positive)
    values ($1, $2, $3)
    on conflict on constraint feedback_pk do update
        set positive = excluded.positive, voted_at = now()
        where f.positive <> excluded.positive
)
update product as p
set
    positive_votes = p.positive_votes + $3::int - coalesce((select positive::int from earlier), 0),
    negative_votes = p.negative_votes + (not $3)::int - coalesce((select (not positive)::int from earlier), 0)
where p.product_id = $2
returning p.positive_votes, p.negative_votes
