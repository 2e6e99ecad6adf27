-- Ends the campaign of a promotion ($1), also one that has not started.
insert into campaign (promotion_id) values ($1)
on conflict on constraint campaign_pk do update set due_at = null
