//! The connections of a server that the logins of Marketplaces reserve.

/// The connections that a login reserves, as its COMMENT says: a row of [`RESERVATIONS`].
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Reservation {
    pub login: String,
    /// Logins that were created later have greater ones.
    pub oid: i64,
    pub connections: i32,
}

/// The logins that reserve connections, and the given ones ($1) also if they reserve none. Locked logins reserve nothing.
pub const RESERVATIONS: &str = "
select login.rolname::text as login,
       login.oid::bigint as oid,
       case when login.rolcanlogin
           then coalesce(substring(about.description from '; connections ([0-9]{1,6})$')::int, 0)
           else 0
       end as connections
from pg_roles login
left join pg_shdescription about on about.objoid = login.oid and about.classoid = 'pg_authid'::regclass
where login.rolname = any ($1) or about.description ~ '; connections [0-9]{1,6}$'";

/// The connections that logins reserve which are older than the own ones: who was there first keeps what it has, so that two
/// Marketplaces never make room for each other in turns.
pub fn reserved_by_others(reservations: &[Reservation], own: &[&str]) -> i32 {
    let is_own = |reservation: &&Reservation| own.contains(&reservation.login.as_str());
    let first = reservations.iter().filter(is_own).map(|reservation| reservation.oid).min().unwrap_or(i64::MAX);
    let older = reservations.iter().filter(|reservation| !is_own(reservation) && reservation.oid < first);
    older.map(|reservation| reservation.connections).sum()
}
