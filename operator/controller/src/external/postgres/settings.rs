//! The settings of a login: each of its sessions begins with them, also one that sets none. Pure.
//!
//! The services set the same values on each connection, so that they hold behind a pooler; the settings of the login are for
//! every other client that uses it. Other settings of the login stay as they are.

use super::quote::{quote_ident, quote_literal};
use super::statements::{CatalogRow, Statement};
use crate::decide::servers::DesiredDatabase;

/// Whether each setting has its desired value, or is not set if there is none.
pub fn hold(found: &CatalogRow, desired: &DesiredDatabase) -> bool {
    desired.session.each().into_iter().all(|(name, value)| current(found, name) == value.as_deref())
}

/// The statements that set what is desired, and remove what is not desired any more.
pub fn set(found: &CatalogRow, desired: &DesiredDatabase) -> Vec<Statement> {
    let (login, quoted) = (&desired.login, quote_ident(&desired.login));
    let of = |(name, value): (&'static str, Option<String>)| match value {
        Some(value) => Some(Statement {
            action: format!("set {name} of the role {login}"),
            sql: format!("alter role {quoted} set {name} to {}", quote_literal(&value)),
        }),
        None => current(found, name).map(|_| Statement {
            action: format!("reset {name} of the role {login}"),
            sql: format!("alter role {quoted} reset {name}"),
        }),
    };
    desired.session.each().into_iter().filter_map(of).collect()
}

/// The value that a setting of the login has.
fn current<'a>(found: &'a CatalogRow, name: &str) -> Option<&'a str> {
    found.login_settings.iter().find_map(|setting| setting.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use agora_vocab::Secret;

    use super::*;
    use crate::decide::claim::Claim;
    use crate::decide::servers::SessionSettings;

    fn desired(statement_timeout_seconds: Option<i32>, work_mem_mebibytes: Option<i32>) -> DesiredDatabase {
        DesiredDatabase {
            name: "shop_order".into(),
            owner_role: "shop_order".into(),
            login: "shop_order_a".into(),
            password: Secret::new("never sent"),
            claim: Claim { market: "shop/main".into(), cluster: "c1".into(), uid: "1111".into() },
            accepted_owners: Vec::new(),
            reserved_connections: 18,
            connection_limit: None,
            session: SessionSettings { statement_timeout_seconds, work_mem_mebibytes },
        }
    }

    fn found(settings: &[&str]) -> CatalogRow {
        let login_settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        CatalogRow { login_settings, ..CatalogRow::default() }
    }

    fn sql(found: &CatalogRow, desired: &DesiredDatabase) -> Vec<String> {
        set(found, desired).into_iter().map(|statement| statement.sql).collect()
    }

    #[test]
    fn da8_settings_of_the_spec_are_set_and_those_that_it_does_not_have_any_more_are_reset() {
        let (both, none) = (desired(Some(30), Some(16)), desired(None, None));
        let empty = found(&["role=shop_order"]);
        assert!(!hold(&empty, &both) && hold(&empty, &none));
        assert_eq!(
            sql(&empty, &both),
            [
                r#"alter role "shop_order_a" set statement_timeout to '30s'"#,
                r#"alter role "shop_order_a" set work_mem to '16MB'"#,
            ]
        );
        assert_eq!(sql(&empty, &none), Vec::<String>::new(), "settings of others stay");
        let full = found(&["role=shop_order", "work_mem=16MB", "statement_timeout=30s"]);
        assert!(hold(&full, &both) && !hold(&full, &none));
        assert_eq!(
            sql(&full, &none),
            [r#"alter role "shop_order_a" reset statement_timeout"#, r#"alter role "shop_order_a" reset work_mem"#]
        );
    }

    #[test]
    fn da8_another_value_of_a_setting_is_detected() {
        for other in ["work_mem=1GB", "work_mem_limit=16MB", "work_mem="] {
            assert!(!hold(&found(&[other]), &desired(None, Some(16))), "{other}");
        }
    }
}
