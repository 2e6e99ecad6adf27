-- Reads the states of all holds of the orders $1.
select h.order_id, h.hold, h.state
from hold as h
where h.order_id = any($1)
