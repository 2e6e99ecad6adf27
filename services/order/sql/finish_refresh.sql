-- The time of a refresh is that of the transaction, whose view of the orders the report shows.
update report_refresh set refreshed_at = now(), lease_until = null where report = 'top_product'
