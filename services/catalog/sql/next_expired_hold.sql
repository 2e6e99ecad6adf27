-- Locks one expired hold that no other transaction has locked.
select h.order_id, h.hold
from hold as h
where h.state = 'held' and h.expires_at <= now()
order by h.expires_at
limit 1
for no key update skip locked
