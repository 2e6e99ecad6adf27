//! The statements that bring a database and its roles to the desired state. Pure, so that they are tested without a server.
//!
//! For PostgreSQL 15 and later. The COMMENT on a database or role names the Marketplace that owns it. A role is created and
//! commented in one transaction, so that there is no role without an owner.

use std::fmt;

use super::quote::{quote_ident, quote_literal};
use super::settings;
use crate::decide::claim;
use crate::decide::servers::{DesiredDatabase, ObservedDatabase};
use crate::external::ports::DatabaseError;

/// The first version with the grant options SET and INHERIT (`server_version_num`).
const VERSION_WITH_GRANT_OPTIONS: i32 = 160_000;
/// The end of the owner role's COMMENT once the database was created.
const CREATED: &str = "; created";
/// The value of `connection limit` that means no limit.
const NO_CONNECTION_LIMIT: i32 = -1;

/// The state of one desired database on the server: a row of [`INSPECT`].
#[derive(Clone, Debug, Default, sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "the columns are independent of each other")]
pub struct CatalogRow {
    pub version: i32,
    pub max_connections: i32,
    /// Whether the admin login may keep its statements out of the server's log.
    pub may_disable_logging: bool,
    /// Name of the desired database; `None` if the query was for the server only.
    pub name: Option<String>,
    pub database_exists: bool,
    pub database_oid: i64,
    pub comment: Option<String>,
    pub database_owner: Option<String>,
    /// Whether PUBLIC may connect to the database.
    pub public_connects: bool,
    pub owner_exists: bool,
    /// Whether the owner role has the attribute LOGIN.
    pub owner_logs_in: bool,
    pub owner_comment: Option<String>,
    pub login_exists: bool,
    /// Whether the login has the attribute LOGIN.
    pub login_is_live: bool,
    pub login_limit: i32,
    pub login_comment: Option<String>,
    /// Whether the login is a member of the owner role.
    pub login_is_member: bool,
    /// Whether the setting `role` of the login is the owner role.
    pub login_acts_as_owner: bool,
    /// The settings of the login, as `name=value`.
    pub login_settings: Vec<String>,
    /// Sessions of the login.
    pub sessions: i64,
}

/// The state of the desired databases ($1), their owner roles ($2) and logins ($3). It reads only catalogs that every login
/// may read.
pub const INSPECT: &str = "
select current_setting('server_version_num')::int as version,
       current_setting('max_connections')::int as max_connections,
       has_parameter_privilege('log_statement', 'set')
           and has_parameter_privilege('log_min_error_statement', 'set')
           and has_parameter_privilege('log_min_duration_statement', 'set') as may_disable_logging,
       desired.name,
       db.oid is not null as database_exists,
       coalesce(db.oid::bigint, 0) as database_oid,
       shobj_description(db.oid, 'pg_database') as comment,
       pg_get_userbyid(db.datdba)::text as database_owner,
       coalesce(has_database_privilege('public', db.oid, 'connect'), false) as public_connects,
       owner.oid is not null as owner_exists,
       coalesce(owner.rolcanlogin, false) as owner_logs_in,
       shobj_description(owner.oid, 'pg_authid') as owner_comment,
       login.oid is not null as login_exists,
       coalesce(login.rolcanlogin, false) as login_is_live,
       coalesce(login.rolconnlimit, -1) as login_limit,
       shobj_description(login.oid, 'pg_authid') as login_comment,
       exists (select 1 from pg_auth_members m where m.roleid = owner.oid and m.member = login.oid) as login_is_member,
       coalesce('role=' || desired.owner = any (login.rolconfig), false) as login_acts_as_owner,
       coalesce(login.rolconfig, '{}') as login_settings,
       coalesce(active.sessions, 0) as sessions
from (select 1) as server
left join unnest($1::text[], $2::text[], $3::text[]) as desired (name, owner, login) on true
left join pg_database db on db.datname = desired.name
left join pg_roles owner on owner.rolname = desired.owner
left join pg_roles login on login.rolname = desired.login
left join (select usename, count(*) as sessions from pg_stat_activity group by usename) as active
    on active.usename = login.rolname";

/// A login's password in the forms that are sent to the server.
#[derive(Clone)]
pub struct Password {
    pub verifier: String,
    /// Identifies the password; stored in the COMMENT of the login.
    pub fingerprint: String,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// Completes the error text "lacks the right to …".
    pub action: String,
    pub sql: String,
}

/// Omits the SQL, which may contain a verifier.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.action)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Transaction(Vec<Statement>),
    /// For statements that cannot run inside a transaction.
    Single(Statement),
    /// The login was locked by an earlier step.
    EndSessions {
        login: String,
    },
}

pub fn observed(found: &CatalogRow, desired: &DesiredDatabase, fingerprint: &str) -> ObservedDatabase {
    let claim = desired.claim.text();
    let ownership = Ownership::of(found, desired, fingerprint);
    let owner = found
        .comment
        .as_deref()
        .map(|comment| if ownership.names_us(comment) { claim.clone() } else { comment.to_owned() });
    let owner_comment = found.owner_comment.as_deref().unwrap_or_default();
    let as_desired = [
        found.comment.as_ref() == Some(&claim),
        found.database_owner.as_deref() == Some(&desired.owner_role),
        owner_comment == created_comment(desired),
        !found.public_connects,
        found.owner_exists && !found.owner_logs_in,
        found.login_is_live,
        found.login_limit == desired.connection_limit.unwrap_or(NO_CONNECTION_LIMIT),
        found.login_comment.as_deref() == Some(&login_comment(desired, fingerprint)),
        found.login_is_member,
        found.login_acts_as_owner,
        settings::hold(found, desired),
    ];
    ObservedDatabase {
        exists: found.database_exists,
        oid: found.database_oid,
        was_created: owner_comment.ends_with(CREATED) && ownership.names_us(owner_comment),
        login_works: as_desired.iter().all(|&holds| holds),
        sessions: found.sessions,
        owner,
    }
}

/// The steps that create or correct the database. Each step is idempotent, and an interrupted run can be repeated.
pub fn ensure(found: &CatalogRow, desired: &DesiredDatabase, password: &Password) -> Result<Vec<Step>, DatabaseError> {
    Ownership::of(found, desired, &password.fingerprint).reject_foreign()?;
    let mut steps =
        vec![Step::Transaction(owner_role(found, desired)), Step::Transaction(login_role(found, desired, password))];
    if !found.database_exists {
        steps.push(Step::Single(create_database(desired)));
    }
    steps.push(Step::Transaction(database_rights(found, desired)));
    Ok(steps)
}

/// The steps that lock the login and keep the data. Empty if the login is absent or belongs to another owner.
pub fn lock(found: &CatalogRow, desired: &DesiredDatabase, fingerprint: &str) -> Vec<Step> {
    if !found.login_exists || !Ownership::of(found, desired, fingerprint).login_is_ours() {
        return Vec::new();
    }
    let login = quote_ident(&desired.login);
    vec![
        Step::Transaction(vec![
            statement(format!("lock the role {}", desired.login), format!("alter role {login} nologin")),
            grant_to_admin(found, &desired.login),
        ]),
        Step::EndSessions { login: desired.login.clone() },
    ]
}

/// The steps that drop the database and both roles, except those that belong to another owner.
pub fn drop(found: &CatalogRow, desired: &DesiredDatabase, fingerprint: &str) -> Vec<Step> {
    let ownership = Ownership::of(found, desired, fingerprint);
    let mut steps = lock(found, desired, fingerprint);
    if found.owner_exists && ownership.owner_is_ours() {
        steps.push(Step::Transaction(vec![grant_to_admin(found, &desired.owner_role)]));
    }
    if found.database_exists && ownership.database_is_ours() {
        steps.push(Step::Single(statement(
            format!("drop the database {}", desired.name),
            format!("drop database if exists {} with (force)", quote_ident(&desired.name)),
        )));
    }
    if found.login_exists && ownership.login_is_ours() {
        steps.push(Step::Single(drop_role(&desired.login)));
    }
    if found.owner_exists && ownership.owner_is_ours() {
        steps.push(Step::Single(drop_role(&desired.owner_role)));
    }
    steps
}

fn owns(found: &CatalogRow, desired: &DesiredDatabase) -> bool {
    found.database_owner.as_deref() == Some(&desired.owner_role)
}

/// Whose a database and its roles are, by their COMMENTs.
struct Ownership<'a> {
    found: &'a CatalogRow,
    desired: &'a DesiredDatabase,
    /// Whether COMMENTs of an earlier release, which name no cluster, name this Marketplace and not one of the same namespace
    /// and name in another cluster: it has the password of the login, or has rewritten a COMMENT already.
    proven: bool,
}

impl<'a> Ownership<'a> {
    /// `fingerprint` identifies the password that this Marketplace has for the login.
    fn of(found: &'a CatalogRow, desired: &'a DesiredDatabase, fingerprint: &str) -> Self {
        let names_us = |comment: &Option<String>| {
            comment.as_deref().is_some_and(|comment| desired.claim.is_in(comment, &desired.accepted_owners))
        };
        let password = found.login_comment.as_deref().is_some_and(|comment| claim::has_password(comment, fingerprint));
        let proven = names_us(&found.owner_comment) || names_us(&found.login_comment) || password;
        Self { found, desired, proven }
    }

    fn names_us(&self, comment: &str) -> bool {
        let claim = &self.desired.claim;
        claim.is_in(comment, &self.desired.accepted_owners) || (self.proven && claim.may_be_in(comment))
    }

    fn in_comment(&self, comment: Option<&String>) -> bool {
        comment.is_some_and(|comment| self.names_us(comment))
    }

    /// A database without a COMMENT is ours if its owner role is: its creation was interrupted.
    fn database_is_ours(&self) -> bool {
        let (found, desired) = (self.found, self.desired);
        match &found.comment {
            Some(comment) => self.names_us(comment),
            None => owns(found, desired) && self.in_comment(found.owner_comment.as_ref()),
        }
    }

    /// The owner role of our database is ours, whatever its COMMENT says: a restore does not restore the COMMENTs of roles,
    /// and an administrator who gives a database to this Marketplace changes the COMMENT of the database only.
    fn owner_is_ours(&self) -> bool {
        self.in_comment(self.found.owner_comment.as_ref())
            || (owns(self.found, self.desired) && self.in_comment(self.found.comment.as_ref()))
    }

    fn login_is_ours(&self) -> bool {
        let found = self.found;
        let of_our_database = owns(found, self.desired) && self.in_comment(found.comment.as_ref());
        let unnamed = found.login_comment.is_none() && self.owner_is_ours();
        self.in_comment(found.login_comment.as_ref()) || (found.login_is_member && (of_our_database || unnamed))
    }

    fn reject_foreign(&self) -> Result<(), DatabaseError> {
        let (found, desired) = (self.found, self.desired);
        let belongs_to = |owner: String| DatabaseError::IsolationConflict { database: desired.name.clone(), owner };
        let taken = |role: &String, comment: &Option<String>| match comment {
            Some(owner) => belongs_to(owner.clone()),
            None => DatabaseError::RoleConflict { role: role.clone() },
        };
        if found.database_exists && !self.database_is_ours() {
            let owner = found.database_owner.as_deref().unwrap_or_default();
            return Err(belongs_to(found.comment.clone().unwrap_or_else(|| format!("the role {owner}"))));
        }
        if found.owner_exists && !self.owner_is_ours() {
            return Err(taken(&desired.owner_role, &found.owner_comment));
        }
        if found.login_exists && !self.login_is_ours() {
            return Err(taken(&desired.login, &found.login_comment));
        }
        Ok(())
    }
}

fn owner_role(found: &CatalogRow, desired: &DesiredDatabase) -> Vec<Statement> {
    let role = quote_ident(&desired.owner_role);
    let verb = if found.owner_exists { "alter" } else { "create" };
    let owner_comment = if found.database_exists { created_comment(desired) } else { desired.claim.text() };
    vec![
        statement(format!("{verb} the role {}", desired.owner_role), format!("{verb} role {role} nologin")),
        comment_on("role", &desired.owner_role, &owner_comment),
        grant_to_admin(found, &desired.owner_role),
    ]
}

fn login_role(found: &CatalogRow, desired: &DesiredDatabase, password: &Password) -> Vec<Statement> {
    let (login, owner) = (quote_ident(&desired.login), quote_ident(&desired.owner_role));
    let verb = if found.login_exists { "alter" } else { "create" };
    let limit = desired.connection_limit.unwrap_or(NO_CONNECTION_LIMIT);
    let mut statements = if found.may_disable_logging { disable_logging() } else { Vec::new() };
    statements.extend([
        statement(
            format!("{verb} the role {}", desired.login),
            format!(
                "{verb} role {login} login inherit connection limit {limit} password {}",
                quote_literal(&password.verifier)
            ),
        ),
        comment_on("role", &desired.login, &login_comment(desired, &password.fingerprint)),
        statement(
            format!("make {} a member of {}", desired.login, desired.owner_role),
            format!("grant {owner} to {login}{}", options(found, "set true, inherit true")),
        ),
        // Tables then belong to the owner role, whichever login creates them; `discard all` does not reset it.
        statement(
            format!("let {} act as {}", desired.login, desired.owner_role),
            format!("alter role {login} set role to {}", quote_literal(&desired.owner_role)),
        ),
        grant_to_admin(found, &desired.login),
    ]);
    statements.extend(settings::set(found, desired));
    statements
}

/// Keeps the verifier out of the server's log for the rest of the transaction.
fn disable_logging() -> Vec<Statement> {
    [("log_statement", "none"), ("log_min_error_statement", "panic"), ("log_min_duration_statement", "-1")]
        .map(|(parameter, value)| {
            statement(format!("set {parameter}"), format!("set local {parameter} = {}", quote_literal(value)))
        })
        .into()
}

fn create_database(desired: &DesiredDatabase) -> Statement {
    statement(
        format!("create the database {}", desired.name),
        format!(
            "create database {} owner {} template template0 encoding 'UTF8'",
            quote_ident(&desired.name),
            quote_ident(&desired.owner_role)
        ),
    )
}

fn database_rights(found: &CatalogRow, desired: &DesiredDatabase) -> Vec<Statement> {
    let database = quote_ident(&desired.name);
    let mut statements = vec![
        comment_on("database", &desired.name, &desired.claim.text()),
        comment_on("role", &desired.owner_role, &created_comment(desired)),
    ];
    if found.database_exists && !owns(found, desired) {
        statements.push(statement(
            format!("give the database {} to {}", desired.name, desired.owner_role),
            format!("alter database {database} owner to {}", quote_ident(&desired.owner_role)),
        ));
    }
    statements.push(statement(
        format!("revoke the rights of PUBLIC on the database {}", desired.name),
        format!("revoke connect, temporary on database {database} from public"),
    ));
    statements
}

/// The admin is no superuser: it may change and drop what `role` owns only as a member of it.
fn grant_to_admin(found: &CatalogRow, role: &str) -> Statement {
    statement(
        format!("become a member of {role}"),
        format!("grant {} to current_user{}", quote_ident(role), options(found, "set true, inherit true")),
    )
}

/// PostgreSQL 15 has no options SET and INHERIT.
fn options(found: &CatalogRow, options: &str) -> String {
    if found.version >= VERSION_WITH_GRANT_OPTIONS { format!(" with {options}") } else { String::new() }
}

fn comment_on(kind: &str, name: &str, text: &str) -> Statement {
    statement(
        format!("comment on the {kind} {name}"),
        format!("comment on {kind} {} is {}", quote_ident(name), quote_literal(text)),
    )
}

fn login_comment(desired: &DesiredDatabase, fingerprint: &str) -> String {
    let (claim, password) = (desired.claim.text(), claim::password_mark(fingerprint));
    format!("{claim}; {password}; connections {}", desired.reserved_connections)
}

/// The COMMENT on the owner role from the creation of the database on: it outlives the database, which shows the loss.
fn created_comment(desired: &DesiredDatabase) -> String {
    format!("{}{CREATED}", desired.claim.text())
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
    use crate::decide::claim::Claim;
    use crate::decide::servers::SessionSettings;

    fn desired() -> DesiredDatabase {
        DesiredDatabase {
            name: "shop_main_order".into(),
            owner_role: "shop_main_order".into(),
            login: "shop_main_order_a".into(),
            password: Secret::new("never sent"),
            claim: claim("shop/main", "1111"),
            accepted_owners: Vec::new(),
            reserved_connections: 18,
            connection_limit: None,
            session: SessionSettings::default(),
        }
    }

    fn claim(market: &str, uid: &str) -> Claim {
        Claim { market: market.to_owned(), cluster: "c1".to_owned(), uid: uid.to_owned() }
    }

    fn password() -> Password {
        Password { verifier: "SCRAM-SHA-256$4096:abc".into(), fingerprint: "f00d".into() }
    }

    /// The state after `ensure`.
    fn complete() -> CatalogRow {
        CatalogRow {
            version: 180_000,
            max_connections: 100,
            name: Some("shop_main_order".into()),
            database_exists: true,
            database_oid: 16_384,
            comment: Some("shop/main c1 1111".into()),
            database_owner: Some("shop_main_order".into()),
            owner_exists: true,
            owner_comment: Some("shop/main c1 1111; created".into()),
            login_exists: true,
            login_is_live: true,
            login_limit: -1,
            login_comment: Some("shop/main c1 1111; password f00d; connections 18".into()),
            login_is_member: true,
            login_acts_as_owner: true,
            ..CatalogRow::default()
        }
    }

    fn sql(steps: &[Step]) -> Vec<String> {
        let of = |step: &Step| match step {
            Step::Transaction(statements) => statements.iter().map(|s| s.sql.clone()).collect(),
            Step::Single(statement) => vec![format!("single: {}", statement.sql)],
            Step::EndSessions { login } => vec![format!("end sessions of {login}")],
        };
        steps.iter().flat_map(of).collect()
    }

    #[test]
    fn on_an_empty_server_owner_login_database_and_rights_are_created_in_that_order() {
        let found = CatalogRow { version: 180_000, login_limit: -1, ..CatalogRow::default() };
        assert_eq!(
            sql(&ensure(&found, &desired(), &password()).unwrap()),
            [
                r#"create role "shop_main_order" nologin"#,
                r#"comment on role "shop_main_order" is 'shop/main c1 1111'"#,
                r#"grant "shop_main_order" to current_user with set true, inherit true"#,
                r#"create role "shop_main_order_a" login inherit connection limit -1 password 'SCRAM-SHA-256$4096:abc'"#,
                r#"comment on role "shop_main_order_a" is 'shop/main c1 1111; password f00d; connections 18'"#,
                r#"grant "shop_main_order" to "shop_main_order_a" with set true, inherit true"#,
                r#"alter role "shop_main_order_a" set role to 'shop_main_order'"#,
                r#"grant "shop_main_order_a" to current_user with set true, inherit true"#,
                r#"single: create database "shop_main_order" owner "shop_main_order" template template0 encoding 'UTF8'"#,
                r#"comment on database "shop_main_order" is 'shop/main c1 1111'"#,
                r#"comment on role "shop_main_order" is 'shop/main c1 1111; created'"#,
                r#"revoke connect, temporary on database "shop_main_order" from public"#,
            ]
        );
    }

    #[test]
    fn version_15_gets_plain_grants_and_logging_is_disabled_only_where_allowed() {
        let found = CatalogRow { version: 150_000, may_disable_logging: true, ..CatalogRow::default() };
        let statements = sql(&ensure(&found, &desired(), &password()).unwrap());
        assert!(statements.iter().all(|sql| !sql.contains(" with ")));
        assert!(statements.contains(&"set local log_statement = 'none'".to_owned()));
        let logged =
            sql(&ensure(&CatalogRow { may_disable_logging: false, ..found }, &desired(), &password()).unwrap());
        assert!(logged.iter().all(|sql| !sql.starts_with("set local")));
    }

    #[test]
    fn a_complete_database_works_and_each_single_drift_is_detected() {
        let whole = observed(&complete(), &desired(), "f00d");
        let expected = ObservedDatabase {
            exists: true,
            oid: 16_384,
            was_created: true,
            login_works: true,
            sessions: 0,
            owner: Some("shop/main c1 1111".into()),
        };
        assert_eq!(whole, expected);
        let drifts: [fn(&mut CatalogRow); 12] = [
            |f| f.comment = None,
            |f| f.database_owner = Some("postgres".into()),
            |f| f.public_connects = true,
            |f| f.owner_logs_in = true,
            |f| f.login_is_live = false,
            |f| f.login_limit = 3,
            |f| f.owner_comment = Some("shop/main c1 1111".into()),
            |f| f.login_comment = Some("shop/main c1 1111; password beef; connections 18".into()),
            |f| f.login_comment = Some("shop/main c1 1111; password f00d; connections 3".into()),
            |f| f.login_is_member = false,
            |f| f.login_acts_as_owner = false,
            |f| f.login_settings = vec!["work_mem=1GB".into()],
        ];
        for (which, drift) in drifts.into_iter().enumerate() {
            let mut found = complete();
            drift(&mut found);
            assert!(!observed(&found, &desired(), "f00d").login_works, "drift {which} was not detected");
        }
    }

    #[test]
    fn a_second_marketplace_gets_an_error_with_the_owner_and_changes_nothing() {
        let other = DesiredDatabase { claim: claim("rival/main", "2222"), ..desired() };
        let refused = ensure(&complete(), &other, &password()).unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/main c1 1111"));
        assert_eq!(lock(&complete(), &other, "f00d"), []);
        assert_eq!(super::drop(&complete(), &other, "f00d"), []);
    }

    #[test]
    fn a_role_with_an_owner_is_protected_before_its_database_exists() {
        let found = CatalogRow { database_exists: false, comment: None, database_owner: None, ..complete() };
        let other = DesiredDatabase { claim: claim("rival/main", "2222"), ..desired() };
        assert!(matches!(ensure(&found, &other, &password()), Err(DatabaseError::IsolationConflict { .. })));
        assert!(ensure(&found, &desired(), &password()).is_ok());
    }

    #[test]
    fn roles_and_databases_without_an_owner_stay_unchanged() {
        let found = CatalogRow { owner_exists: true, version: 180_000, ..CatalogRow::default() };
        assert!(matches!(ensure(&found, &desired(), &password()), Err(DatabaseError::RoleConflict { .. })));
        let found = CatalogRow { login_exists: true, version: 180_000, ..CatalogRow::default() };
        assert!(matches!(ensure(&found, &desired(), &password()), Err(DatabaseError::RoleConflict { .. })));
        let found = CatalogRow {
            database_exists: true,
            database_owner: Some("dba".into()),
            version: 180_000,
            ..CatalogRow::default()
        };
        assert!(matches!(
            ensure(&found, &desired(), &password()),
            Err(DatabaseError::IsolationConflict { owner, .. }) if owner == "the role dba"
        ));
    }

    #[test]
    fn a_marketplace_created_again_takes_over_and_one_of_another_cluster_only_what_was_accepted() {
        let again = DesiredDatabase { claim: claim("shop/main", "3333"), ..desired() };
        assert!(ensure(&complete(), &again, &password()).is_ok());
        assert_eq!(observed(&complete(), &again, "f00d").owner.as_deref(), Some("shop/main c1 3333"));
        let foreign = Claim { cluster: "c2".to_owned(), ..claim("shop/main", "1111") };
        let mut elsewhere = DesiredDatabase { claim: foreign, ..desired() };
        let locked = CatalogRow { login_is_live: false, ..complete() };
        for found in [complete(), locked] {
            assert!(matches!(
                ensure(&found, &elsewhere, &password()),
                Err(DatabaseError::IsolationConflict { owner, .. }) if owner == "shop/main c1 1111"
            ));
        }
        elsewhere.accepted_owners.push(desired().claim.hash());
        assert!(ensure(&complete(), &elsewhere, &password()).is_ok());
    }

    /// The state after `ensure` of an earlier release, whose COMMENTs name no cluster.
    fn of_earlier_release() -> CatalogRow {
        CatalogRow {
            comment: Some("shop/main".into()),
            owner_comment: Some("shop/main".into()),
            login_comment: Some("shop/main; password f00d".into()),
            ..complete()
        }
    }

    #[test]
    fn a_database_of_an_earlier_release_is_taken_over_with_the_password_of_its_login() {
        let found = of_earlier_release();
        assert!(ensure(&found, &desired(), &password()).is_ok());
        assert!(!observed(&found, &desired(), "f00d").login_works, "the COMMENTs are to be rewritten");
        assert!(!observed(&found, &desired(), "f00d").was_created, "it may be the rest of an interrupted creation");
        assert_eq!(lock(&found, &desired(), "f00d").len(), 2);
    }

    #[test]
    fn without_the_password_of_its_login_a_database_of_an_earlier_release_is_taken_over_only_if_accepted() {
        let (found, other) = (of_earlier_release(), Password { fingerprint: "beef".into(), ..password() });
        let refused = ensure(&found, &desired(), &other).unwrap_err();
        assert!(matches!(refused, DatabaseError::IsolationConflict { owner, .. } if owner == "shop/main"));
        assert_eq!(observed(&found, &desired(), "beef").owner.as_deref(), Some("shop/main"));
        assert_eq!(lock(&found, &desired(), "beef"), []);
        assert_eq!(super::drop(&found, &desired(), "beef"), []);
        let roles = CatalogRow { database_exists: false, comment: None, database_owner: None, ..of_earlier_release() };
        assert!(ensure(&roles, &desired(), &other).is_err());
        let owner = claim::owner_hash("shop/main").unwrap();
        let accepting = DesiredDatabase { accepted_owners: vec![owner], ..desired() };
        assert!(ensure(&found, &accepting, &other).is_ok());
    }

    #[test]
    fn an_interrupted_rewriting_of_an_earlier_releases_comments_goes_on() {
        let new = complete();
        let owner_role = CatalogRow { owner_comment: new.owner_comment.clone(), ..of_earlier_release() };
        let login = CatalogRow { login_comment: new.login_comment, ..owner_role.clone() };
        let other = Password { fingerprint: "beef".into(), ..password() };
        for found in [owner_role, login] {
            assert!(ensure(&found, &desired(), &other).is_ok());
            let elsewhere = Claim { cluster: "c2".to_owned(), ..desired().claim };
            assert!(ensure(&found, &DesiredDatabase { claim: elsewhere, ..desired() }, &other).is_err());
        }
    }

    #[test]
    fn the_comment_of_the_database_decides_whose_its_roles_are() {
        let found = CatalogRow {
            owner_comment: Some("rival/main c2 2222; created".into()),
            login_comment: Some("rival/main c2 2222; password beef".into()),
            ..complete()
        };
        assert!(ensure(&found, &desired(), &password()).is_ok());
    }

    #[test]
    fn drop_locks_the_login_and_ends_sessions_before_it_drops() {
        assert_eq!(
            sql(&super::drop(&complete(), &desired(), "f00d")),
            [
                r#"alter role "shop_main_order_a" nologin"#,
                r#"grant "shop_main_order_a" to current_user with set true, inherit true"#,
                "end sessions of shop_main_order_a",
                r#"grant "shop_main_order" to current_user with set true, inherit true"#,
                r#"single: drop database if exists "shop_main_order" with (force)"#,
                r#"single: drop role if exists "shop_main_order_a""#,
                r#"single: drop role if exists "shop_main_order""#,
            ]
        );
        assert_eq!(super::drop(&CatalogRow::default(), &desired(), "f00d"), []);
    }
}
