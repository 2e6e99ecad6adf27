-- Tokens of payments without a result that do not begin with the prefix of the current key.
-- $1 prefix, $2 number of tokens at most.
select id, order_id, sealed_token
from payment
where status in ('pending', 'authorised')
    and sealed_token is not null
    and substring(sealed_token from 1 for length($1::bytea)) <> $1::bytea
order by leased_until
limit $2::bigint
