-- Begins import $1 by user $2, or continues it, for request $3 and $4 seconds; returns no row while another request handles it.
insert into product_import as i (id, started_by, runner, lease_until)
values ($1, $2, $3, now() + make_interval(secs => $4))
on conflict on constraint product_import_pk do update
set runner = excluded.runner, lease_until = excluded.lease_until
where i.completed_at is not null or i.lease_until is null or i.lease_until < now()
returning i.lines, i.digest, i.completed_at is not null as completed
