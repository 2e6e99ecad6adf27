-- How many notifications of a user ($1) there are. $2 kind, $3 priority, $4 whether read, $5 words; null: any.
select count(*)
from notification
where
    user_id = $1
    and ($2::text is null or kind = $2)
    and ($3::text is null or priority = $3)
    and ($4::boolean is null or (read_at is not null) = $4)
    and ($5::text is null or search @@ plainto_tsquery('simple', $5))
