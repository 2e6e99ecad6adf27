-- Starts a session ($1) of a user ($2) with address ($3) and device ($4), which ends after $5 seconds, or $6 for a member of the staff
-- who logs in at an identity provider. Returns whether the user is one.
insert into auth_session (id, user_id, ip, user_agent, expires_at)
select
    $1::uuid, $2::uuid, $3::text::inet, $4::text,
    now() + case when staff.is_member then least($5::float8, $6::float8) else $5::float8 end * interval '1 second'
from (select exists (select from staff_identity where user_id = $2::uuid) as is_member) as staff
returning exists (select from staff_identity as s where s.user_id = auth_session.user_id)
