-- Starts the campaign of a promotion ($1) with this content ($2) unless it is known, also as one that is over.
-- $3: when the promotion began; $4: age in seconds after which nobody is notified.
insert into campaign (promotion_id, content, due_at)
values (
    $1, $2::jsonb,
    case when $3::timestamptz >= now() - make_interval(secs => $4) then now() end
)
on conflict on constraint campaign_pk do nothing
