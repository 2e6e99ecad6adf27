-- Requests a run over all users.
update recomputation set requested_at = now()
