//! What to tell a database server, decided from what was found there: pure, so every decision is tested without one.
//!
//! Knows roles, ownership and claims as PostgreSQL 15 and later have them; must not know connections. Who made a role or
//! database is recorded in its COMMENT; a role is created and commented in one transaction, so that a claim is never half made.

use std::fmt;

use super::quote::{quote_ident, quote_literal};
use crate::decide::servers::{DatabaseSeen, DatabaseWanted};
use crate::external::ports::DatabaseError;

/// The first version whose grants say SET and INHERIT by themselves (`server_version_num`).
const VERSION_WITH_GRANT_OPTIONS: i32 = 160_000;
/// PostgreSQL's word for "no limit of its own".
const NO_CONNECTION_LIMIT: i32 = -1;

/// What one wanted database looks like on the server, one row of [`FACTS`].
#[derive(Clone, Debug, Default, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "a row of independent facts")]
pub struct Found {
    /// `server_version_num`.
    pub version: i32,
    /// `max_connections`.
    pub max_connections: i32,
    /// Whether this login may keep its statements out of the server's log.
    pub may_be_quiet: bool,
    /// The wanted database's name; `None` where none was asked for.
    pub name: Option<String>,
    /// Whether the database exists.
    pub database: bool,
    /// Its COMMENT.
    pub comment: Option<String>,
    /// The role that owns it.
    pub database_owner: Option<String>,
    /// Whether every login of the server may connect to it.
    pub public_connects: bool,
    /// Whether the owner role exists.
    pub owner: bool,
    /// Whether somebody let the owner role log in.
    pub owner_logs_in: bool,
    /// The owner role's COMMENT.
    pub owner_comment: Option<String>,
    /// Whether the login exists.
    pub login: bool,
    /// Whether it may log in.
    pub login_is_live: bool,
    /// Its connection limit.
    pub login_limit: i32,
    /// Its COMMENT.
    pub login_comment: Option<String>,
    /// Whether it is a member of the owner role.
    pub login_is_member: bool,
    /// Whether its sessions start as the owner role.
    pub login_acts_as_owner: bool,
}

/// Everything about the wanted databases ($1), their owner roles ($2) and logins ($3) in one query, which needs no more than
/// the catalogues that everybody may read.
pub const FACTS: &str = "
select current_setting('server_version_num')::int as version,
       current_setting('max_connections')::int as max_connections,
       has_parameter_privilege('log_statement', 'set')
           and has_parameter_privilege('log_min_error_statement', 'set')
           and has_parameter_privilege('log_min_duration_statement', 'set') as may_be_quiet,
       wanted.name,
       db.oid is not null as database,
       shobj_description(db.oid, 'pg_database') as comment,
       pg_get_userbyid(db.datdba)::text as database_owner,
       coalesce(has_database_privilege('public', db.oid, 'connect'), false) as public_connects,
       owner.oid is not null as owner,
       coalesce(owner.rolcanlogin, false) as owner_logs_in,
       shobj_description(owner.oid, 'pg_authid') as owner_comment,
       login.oid is not null as login,
       coalesce(login.rolcanlogin, false) as login_is_live,
       coalesce(login.rolconnlimit, -1) as login_limit,
       shobj_description(login.oid, 'pg_authid') as login_comment,
       exists (select 1 from pg_auth_members m where m.roleid = owner.oid and m.member = login.oid) as login_is_member,
       coalesce('role=' || wanted.owner = any (login.rolconfig), false) as login_acts_as_owner
from (select 1) as server
left join unnest($1::text[], $2::text[], $3::text[]) as wanted (name, owner, login) on true
left join pg_database db on db.datname = wanted.name
left join pg_roles owner on owner.rolname = wanted.owner
left join pg_roles login on login.rolname = wanted.login";

/// A login's password as it leaves the process.
#[derive(Clone)]
pub struct Password {
    /// What the server stores and cannot be logged in with.
    pub verifier: String,
    /// Tells whether the password set is the password wanted, without telling the password.
    pub mark: String,
}

/// A statement, and in words what it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// Completes "may not …".
    pub action: String,
    /// The statement.
    pub sql: String,
}

/// Without the SQL: it may hold a verifier.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.action)
    }
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Statements of one transaction.
    Together(Vec<Statement>),
    /// A statement that refuses to run inside a transaction.
    Alone(Statement),
    /// Ends the sessions of a login.
    EndSessions {
        /// The login, locked by a step before.
        login: String,
    },
}

/// The server's row in the words of the port.
pub fn seen(found: &Found, wanted: &DatabaseWanted, mark: &str) -> DatabaseSeen {
    let claim = found.comment.as_deref().map(|comment| {
        if is_ours(comment, wanted, found.login_is_live) { wanted.marketplace.clone() } else { comment.to_owned() }
    });
    let as_wanted = [
        found.comment.as_deref() == Some(&wanted.marketplace),
        found.database_owner.as_deref() == Some(&wanted.owner_role),
        !found.public_connects,
        found.owner && !found.owner_logs_in,
        found.login_is_live,
        found.login_limit == wanted.connection_limit.unwrap_or(NO_CONNECTION_LIMIT),
        found.login_comment.as_deref() == Some(&login_comment(wanted, mark)),
        found.login_is_member,
        found.login_acts_as_owner,
    ];
    DatabaseSeen { exists: found.database, login_works: as_wanted.iter().all(|&holds| holds), owner: claim }
}

/// What makes the database as wanted; every step may be repeated, and the plan taken up again after any of them.
pub fn ensure(found: &Found, wanted: &DatabaseWanted, password: &Password) -> Result<Vec<Step>, DatabaseError> {
    refuse_what_is_not_ours(found, wanted)?;
    let mut steps =
        vec![Step::Together(owner_role(found, wanted)), Step::Together(login_role(found, wanted, password))];
    if !found.database {
        steps.push(Step::Alone(create_database(wanted)));
    }
    steps.push(Step::Together(database_rights(found, wanted)));
    Ok(steps)
}

/// What keeps the login out and leaves the data; nothing where the login is absent or somebody else's.
pub fn lock(found: &Found, wanted: &DatabaseWanted) -> Vec<Step> {
    if !found.login || !login_is_ours(found, wanted) {
        return Vec::new();
    }
    let login = quote_ident(&wanted.login);
    vec![
        Step::Together(vec![
            statement(format!("lock the role {}", wanted.login), format!("alter role {login} nologin")),
            grant_to_admin(found, &wanted.login),
        ]),
        Step::EndSessions { login: wanted.login.clone() },
    ]
}

/// What leaves nothing of ours behind; what is somebody else's stays.
pub fn drop(found: &Found, wanted: &DatabaseWanted) -> Vec<Step> {
    let mut steps = lock(found, wanted);
    if found.owner && owner_is_ours(found, wanted) {
        steps.push(Step::Together(vec![grant_to_admin(found, &wanted.owner_role)]));
    }
    if found.database && database_is_ours(found, wanted) {
        steps.push(Step::Alone(statement(
            format!("drop the database {}", wanted.name),
            format!("drop database if exists {} with (force)", quote_ident(&wanted.name)),
        )));
    }
    if found.login && login_is_ours(found, wanted) {
        steps.push(Step::Alone(drop_role(&wanted.login)));
    }
    if found.owner && owner_is_ours(found, wanted) {
        steps.push(Step::Alone(drop_role(&wanted.owner_role)));
    }
    steps
}

// --- claims

/// A claim of the same Marketplace, or one that a deleted Marketplace of the same namespace and name left behind with
/// its login locked. With a live login another cluster may be at work under the same name.
fn is_ours(comment: &str, wanted: &DatabaseWanted, login_is_live: bool) -> bool {
    let claim = comment.split("; ").next().unwrap_or_default();
    let name = |claim: &str| claim.split(' ').next().unwrap_or_default().to_owned();
    claim == wanted.marketplace || (!login_is_live && name(claim) == name(&wanted.marketplace))
}

fn has_our_comment(comment: Option<&String>, found: &Found, wanted: &DatabaseWanted) -> bool {
    comment.is_some_and(|comment| is_ours(comment, wanted, found.login_is_live))
}

fn owns(found: &Found, wanted: &DatabaseWanted) -> bool {
    found.database_owner.as_deref() == Some(&wanted.owner_role)
}

/// A database without a COMMENT is ours if its owner is: its making was interrupted.
fn database_is_ours(found: &Found, wanted: &DatabaseWanted) -> bool {
    match &found.comment {
        Some(_) => has_our_comment(found.comment.as_ref(), found, wanted),
        None => owns(found, wanted) && has_our_comment(found.owner_comment.as_ref(), found, wanted),
    }
}

/// A role without a COMMENT is ours if it owns our database: restores lose the comments of roles.
fn owner_is_ours(found: &Found, wanted: &DatabaseWanted) -> bool {
    has_our_comment(found.owner_comment.as_ref(), found, wanted)
        || (found.owner_comment.is_none()
            && owns(found, wanted)
            && has_our_comment(found.comment.as_ref(), found, wanted))
}

fn login_is_ours(found: &Found, wanted: &DatabaseWanted) -> bool {
    has_our_comment(found.login_comment.as_ref(), found, wanted)
        || (found.login_comment.is_none() && found.login_is_member && owner_is_ours(found, wanted))
}

fn refuse_what_is_not_ours(found: &Found, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
    let belongs_to = |owner: String| DatabaseError::IsolationConflict { database: wanted.name.clone(), owner };
    let taken = |role: &String, comment: &Option<String>| match comment {
        Some(owner) => belongs_to(owner.clone()),
        None => DatabaseError::RoleConflict { role: role.clone() },
    };
    if found.database && !database_is_ours(found, wanted) {
        let owner = found.database_owner.as_deref().unwrap_or_default();
        return Err(belongs_to(found.comment.clone().unwrap_or_else(|| format!("the role {owner}"))));
    }
    if found.owner && !owner_is_ours(found, wanted) {
        return Err(taken(&wanted.owner_role, &found.owner_comment));
    }
    if found.login && !login_is_ours(found, wanted) {
        return Err(taken(&wanted.login, &found.login_comment));
    }
    Ok(())
}

// --- statements

fn owner_role(found: &Found, wanted: &DatabaseWanted) -> Vec<Statement> {
    let role = quote_ident(&wanted.owner_role);
    let verb = if found.owner { "alter" } else { "create" };
    vec![
        statement(format!("{verb} the role {}", wanted.owner_role), format!("{verb} role {role} nologin")),
        comment_on("role", &wanted.owner_role, &wanted.marketplace),
        grant_to_admin(found, &wanted.owner_role),
    ]
}

fn login_role(found: &Found, wanted: &DatabaseWanted, password: &Password) -> Vec<Statement> {
    let (login, owner) = (quote_ident(&wanted.login), quote_ident(&wanted.owner_role));
    let verb = if found.login { "alter" } else { "create" };
    let limit = wanted.connection_limit.unwrap_or(NO_CONNECTION_LIMIT);
    let mut statements = if found.may_be_quiet { silence() } else { Vec::new() };
    statements.extend([
        statement(
            format!("{verb} the role {}", wanted.login),
            format!(
                "{verb} role {login} login inherit connection limit {limit} password {}",
                quote_literal(&password.verifier)
            ),
        ),
        comment_on("role", &wanted.login, &login_comment(wanted, &password.mark)),
        statement(
            format!("make {} a member of {}", wanted.login, wanted.owner_role),
            format!("grant {owner} to {login}{}", options(found, "set true, inherit true")),
        ),
        // Tables belong to the owner whichever of the logins migrates; survives `discard all`.
        statement(
            format!("let {} act as {}", wanted.login, wanted.owner_role),
            format!("alter role {login} set role to {}", quote_literal(&wanted.owner_role)),
        ),
        grant_to_admin(found, &wanted.login),
    ]);
    statements
}

/// Keeps even the verifier out of the server's log, for the rest of the transaction.
fn silence() -> Vec<Statement> {
    [("log_statement", "none"), ("log_min_error_statement", "panic"), ("log_min_duration_statement", "-1")]
        .map(|(parameter, value)| {
            statement(format!("set {parameter}"), format!("set local {parameter} = {}", quote_literal(value)))
        })
        .into()
}

fn create_database(wanted: &DatabaseWanted) -> Statement {
    statement(
        format!("create the database {}", wanted.name),
        format!(
            "create database {} owner {} template template0 encoding 'UTF8'",
            quote_ident(&wanted.name),
            quote_ident(&wanted.owner_role)
        ),
    )
}

fn database_rights(found: &Found, wanted: &DatabaseWanted) -> Vec<Statement> {
    let database = quote_ident(&wanted.name);
    let mut statements = vec![comment_on("database", &wanted.name, &wanted.marketplace)];
    if found.database && !owns(found, wanted) {
        statements.push(statement(
            format!("give the database {} to {}", wanted.name, wanted.owner_role),
            format!("alter database {database} owner to {}", quote_ident(&wanted.owner_role)),
        ));
    }
    statements.push(statement(
        format!("close the database {} to everybody else", wanted.name),
        format!("revoke connect, temporary on database {database} from public"),
    ));
    statements
}

/// The admin is no superuser: it owns and ends what is `role`'s only as a member.
fn grant_to_admin(found: &Found, role: &str) -> Statement {
    statement(
        format!("become a member of {role}"),
        format!("grant {} to current_user{}", quote_ident(role), options(found, "set true, inherit true")),
    )
}

/// Since 16 a membership says by itself what it is good for; 15 knows plain grants only.
fn options(found: &Found, options: &str) -> String {
    if found.version >= VERSION_WITH_GRANT_OPTIONS { format!(" with {options}") } else { String::new() }
}

fn comment_on(kind: &str, name: &str, text: &str) -> Statement {
    statement(
        format!("claim the {kind} {name}"),
        format!("comment on {kind} {} is {}", quote_ident(name), quote_literal(text)),
    )
}

fn login_comment(wanted: &DatabaseWanted, mark: &str) -> String {
    format!("{}; password {mark}", wanted.marketplace)
}

fn drop_role(role: &str) -> Statement {
    statement(format!("drop the role {role}"), format!("drop role if exists {}", quote_ident(role)))
}

fn statement(action: String, sql: String) -> Statement {
    Statement { action, sql }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Secret;

    use super::*;

    fn wanted() -> DatabaseWanted {
        DatabaseWanted {
            name: "shop_main_order".into(),
            owner_role: "shop_main_order".into(),
            login: "shop_main_order_a".into(),
            password: Secret::new("never sent"),
            marketplace: "shop/main 1111".into(),
            connection_limit: None,
        }
    }

    fn password() -> Password {
        Password { verifier: "SCRAM-SHA-256$4096:abc".into(), mark: "f00d".into() }
    }

    /// As `ensure` leaves it.
    fn complete() -> Found {
        Found {
            version: 180_000,
            max_connections: 100,
            name: Some("shop_main_order".into()),
            database: true,
            comment: Some("shop/main 1111".into()),
            database_owner: Some("shop_main_order".into()),
            owner: true,
            owner_comment: Some("shop/main 1111".into()),
            login: true,
            login_is_live: true,
            login_limit: -1,
            login_comment: Some("shop/main 1111; password f00d".into()),
            login_is_member: true,
            login_acts_as_owner: true,
            ..Found::default()
        }
    }

    fn sql(steps: &[Step]) -> Vec<String> {
        let of = |step: &Step| match step {
            Step::Together(statements) => statements.iter().map(|s| s.sql.clone()).collect(),
            Step::Alone(statement) => vec![format!("alone: {}", statement.sql)],
            Step::EndSessions { login } => vec![format!("end sessions of {login}")],
        };
        steps.iter().flat_map(of).collect()
    }

    #[test]
    fn an_empty_server_gets_owner_login_database_and_rights_in_that_order() {
        let found = Found { version: 180_000, login_limit: -1, ..Found::default() };
        assert_eq!(
            sql(&ensure(&found, &wanted(), &password()).unwrap()),
            [
                r#"create role "shop_main_order" nologin"#,
                r#"comment on role "shop_main_order" is 'shop/main 1111'"#,
                r#"grant "shop_main_order" to current_user with set true, inherit true"#,
                r#"create role "shop_main_order_a" login inherit connection limit -1 password 'SCRAM-SHA-256$4096:abc'"#,
                r#"comment on role "shop_main_order_a" is 'shop/main 1111; password f00d'"#,
                r#"grant "shop_main_order" to "shop_main_order_a" with set true, inherit true"#,
                r#"alter role "shop_main_order_a" set role to 'shop_main_order'"#,
                r#"grant "shop_main_order_a" to current_user with set true, inherit true"#,
                r#"alone: create database "shop_main_order" owner "shop_main_order" template template0 encoding 'UTF8'"#,
                r#"comment on database "shop_main_order" is 'shop/main 1111'"#,
                r#"revoke connect, temporary on database "shop_main_order" from public"#,
            ]
        );
    }

    #[test]
    fn version_15_gets_plain_grants_and_silence_comes_only_where_it_is_allowed() {
        let found = Found { version: 150_000, may_be_quiet: true, ..Found::default() };
        let statements = sql(&ensure(&found, &wanted(), &password()).unwrap());
        assert!(statements.iter().all(|sql| !sql.contains(" with ")));
        assert!(statements.contains(&"set local log_statement = 'none'".to_owned()));
        let loud = sql(&ensure(&Found { may_be_quiet: false, ..found }, &wanted(), &password()).unwrap());
        assert!(loud.iter().all(|sql| !sql.starts_with("set local")));
    }

    #[test]
    fn what_is_complete_is_seen_as_working_and_every_single_drift_is_not() {
        let whole = seen(&complete(), &wanted(), "f00d");
        assert_eq!(whole, DatabaseSeen { exists: true, login_works: true, owner: Some("shop/main 1111".into()) });
        let drifts: [fn(&mut Found); 9] = [
            |f| f.comment = None,
            |f| f.database_owner = Some("postgres".into()),
            |f| f.public_connects = true,
            |f| f.owner_logs_in = true,
            |f| f.login_is_live = false,
            |f| f.login_limit = 3,
            |f| f.login_comment = Some("shop/main 1111; password beef".into()),
            |f| f.login_is_member = false,
            |f| f.login_acts_as_owner = false,
        ];
        for (which, drift) in drifts.into_iter().enumerate() {
            let mut found = complete();
            drift(&mut found);
            assert!(!seen(&found, &wanted(), "f00d").login_works, "drift {which} went unseen");
        }
    }

    #[test]
    fn a_second_claimant_is_told_whose_it_is_and_changes_nothing() {
        let other = DatabaseWanted { marketplace: "rival/main 2222".into(), ..wanted() };
        let refused = ensure(&complete(), &other, &password()).unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/main 1111"));
        assert_eq!(lock(&complete(), &other), []);
        assert_eq!(super::drop(&complete(), &other), []);
    }

    #[test]
    fn a_claim_before_its_database_exists_already_holds() {
        let found = Found { database: false, comment: None, database_owner: None, ..complete() };
        let other = DatabaseWanted { marketplace: "rival/main 2222".into(), ..wanted() };
        assert!(matches!(ensure(&found, &other, &password()), Err(DatabaseError::IsolationConflict { .. })));
        assert!(ensure(&found, &wanted(), &password()).is_ok());
    }

    #[test]
    fn roles_of_nobody_are_left_alone() {
        let found = Found { owner: true, version: 180_000, ..Found::default() };
        assert!(matches!(ensure(&found, &wanted(), &password()), Err(DatabaseError::RoleConflict { .. })));
        let found = Found { login: true, version: 180_000, ..Found::default() };
        assert!(matches!(ensure(&found, &wanted(), &password()), Err(DatabaseError::RoleConflict { .. })));
        let found = Found { database: true, database_owner: Some("dba".into()), version: 180_000, ..Found::default() };
        assert!(matches!(
            ensure(&found, &wanted(), &password()),
            Err(DatabaseError::IsolationConflict { owner, .. }) if owner == "the role dba"
        ));
    }

    #[test]
    fn a_retained_database_is_adopted_by_the_same_name_once_its_login_is_locked() {
        let reborn = DatabaseWanted { marketplace: "shop/main 3333".into(), ..wanted() };
        assert!(ensure(&complete(), &reborn, &password()).is_err(), "another cluster may be at work");
        let locked = Found { login_is_live: false, ..complete() };
        assert!(ensure(&locked, &reborn, &password()).is_ok());
        assert_eq!(seen(&locked, &reborn, "f00d").owner.as_deref(), Some("shop/main 3333"));
    }

    #[test]
    fn dropping_locks_ends_sessions_and_only_then_drops() {
        assert_eq!(
            sql(&super::drop(&complete(), &wanted())),
            [
                r#"alter role "shop_main_order_a" nologin"#,
                r#"grant "shop_main_order_a" to current_user with set true, inherit true"#,
                "end sessions of shop_main_order_a",
                r#"grant "shop_main_order" to current_user with set true, inherit true"#,
                r#"alone: drop database if exists "shop_main_order" with (force)"#,
                r#"alone: drop role if exists "shop_main_order_a""#,
                r#"alone: drop role if exists "shop_main_order""#,
            ]
        );
        assert_eq!(super::drop(&Found::default(), &wanted()), []);
    }
}
