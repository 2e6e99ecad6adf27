//! Allowed dependencies: between workspace crates, of modules within a crate, and on external crates. A new dependency
//! edge requires an edit of the tables in this file, which makes it visible in review.

use std::path::Path;

use crate::workspace::{Package, Workspace};

const BASE: &[&str] = &[
    "agora-vocab",
    "agora-api",
    "agora-events",
    "agora-topology",
    "agora-chassis",
    "agora-cipher",
    "agora-keyring",
    "agora-postgres",
    "agora-redis",
    "agora-web",
    "agora-outbound",
    "agora-kafka",
    "agora-outbox",
    "agora-archive",
];
const TESTKIT: &[&str] = &["agora-vocab", "agora-api", "agora-events", "agora-keyring", "agora-mailbox"];
const SERVICES: &[&str] = &[
    "agora-gateway",
    "agora-user",
    "agora-catalog",
    "agora-cart",
    "agora-order",
    "agora-payment",
    "agora-notification",
    "agora-recommendation",
    "agora-search",
];

/// A workspace crate and the workspace crates that it may depend on. Crates in `SERVICES` may depend on `BASE`.
const EDGES: &[(&str, &[&str])] = &[
    ("agora-vocab", &[]),
    ("agora-api", &["agora-vocab"]),
    ("agora-events", &["agora-vocab"]),
    ("agora-topology", &["agora-events"]),
    ("agora-chassis", &["agora-vocab"]),
    ("agora-cipher", &["agora-chassis", "agora-vocab"]),
    ("agora-keyring", &["agora-vocab"]),
    ("agora-postgres", &["agora-chassis", "agora-vocab"]),
    ("agora-redis", &["agora-chassis", "agora-vocab"]),
    ("agora-web", &["agora-chassis", "agora-redis", "agora-api", "agora-keyring", "agora-topology", "agora-vocab"]),
    ("agora-outbound", &["agora-chassis", "agora-api", "agora-keyring", "agora-vocab"]),
    ("agora-kafka", &["agora-chassis", "agora-events", "agora-vocab"]),
    ("agora-outbox", &["agora-chassis", "agora-postgres", "agora-kafka", "agora-events", "agora-vocab"]),
    ("agora-archive", &["agora-chassis", "agora-kafka", "agora-events", "agora-vocab"]),
    ("agora-mailbox", &[]),
    ("agora-openapi", &["agora-api", "agora-events", "agora-topology", "agora-vocab"]),
    ("agora-testkit", TESTKIT),
    ("agora-crd", &["agora-topology", "agora-vocab"]),
    (
        "agora-operator",
        &[
            "agora-crd",
            "agora-topology",
            "agora-events",
            "agora-vocab",
            "agora-chassis",
            "agora-keyring",
            "agora-redis",
            "agora-postgres",
        ],
    ),
    ("agora-shopper", &["agora-vocab", "agora-api", "agora-events"]),
    ("agora-e2e", &["agora-shopper", "agora-crd", "agora-topology", "agora-api", "agora-events", "agora-vocab"]),
    ("xtask", &["agora-topology"]),
];

/// An external crate and the workspace crates that may depend on it outside of tests.
const WRAPPED: &[(&str, &[&str])] = &[
    ("rdkafka", &["agora-kafka", "agora-operator", "agora-e2e", "agora-testkit"]),
    ("fred", &["agora-redis"]),
    ("kube", &["agora-crd", "agora-operator", "agora-e2e"]),
    // Services call each other through `agora_outbound`. `agora seed` is a client of the shop; payment calls a provider over
    // TLS.
    ("reqwest", &["agora", "agora-payment", "agora-testkit", "agora-e2e", "agora-shopper"]),
    ("serde_yml", &[]),
    ("chrono", &[]),
    ("native-tls", &[]),
];

/// External crates at any depth and the crates that may depend on them.
const BROUGHT_BY: &[(&str, &[&str])] = &[("openssl-sys", &["rdkafka-sys"]), ("openssl", &[])];

/// Modules of a service that must not depend on storage or transport.
const PURE_FILES: &[&str] = &["ports", "service"];
/// Crates with an effect, or of the write path, which the domain of a service must not know either.
const IMPURE_DOMAIN: &[&str] = &[
    "axum::",
    "sqlx::",
    "tokio::",
    "async_trait::",
    "agora_chassis::",
    "agora_kafka::",
    "agora_outbound::",
    "agora_outbox::",
    "agora_postgres::",
    "agora_web::",
];
const IMPURE: &[&str] = &[
    "axum::",
    "sqlx::",
    "rdkafka::",
    "fred::",
    "reqwest::",
    "kube::",
    "agora_kafka::",
    "agora_web::",
    "agora_postgres::",
];
/// Modules of the controller that must not do I/O.
const PURE_OPERATOR_FILES: &[&str] = &["decide"];
const IMPURE_OPERATOR: &[&str] = &[
    "kube::Client",
    "kube::Api",
    "Client,",
    "Api,",
    "Api<",
    "tokio::",
    "sqlx::",
    "rdkafka::",
    "rand::",
    "SystemTime",
    "Instant",
];

pub fn faults(members: &Workspace) -> Vec<String> {
    let ours: Vec<&str> = members.packages.iter().map(|package| package.name.as_str()).collect();
    let edges = members.packages.iter().flat_map(|package| edge_faults(package, &ours));
    let wrapped = members.packages.iter().flat_map(wrapper_faults);
    edges.chain(wrapped).collect()
}

/// Violations in the whole dependency tree: edges that `BROUGHT_BY` does not allow.
pub fn tree_faults(whole: &Workspace) -> Vec<String> {
    let name =
        |id: &str| whole.packages.iter().find(|package| package.id == id).map_or("?", |package| package.name.as_str());
    let mut faults = Vec::new();
    for node in whole.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        for dependency in &node.dependencies {
            let rule = BROUGHT_BY.iter().find(|(banned_crate, _)| *banned_crate == name(dependency));
            if let Some((banned_crate, by)) = rule.filter(|(_, by)| !by.contains(&name(&node.id))) {
                faults.push(format!("{} depends on {banned_crate}; only {by:?} may", name(&node.id)));
            }
        }
    }
    faults
}

fn edge_faults(package: &Package, ours: &[&str]) -> Vec<String> {
    let Some(allowed) = allowed(&package.name) else {
        return vec![format!("{} is not in the table EDGES of xtask/src/layers.rs; add it", package.name)];
    };
    let named = package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name.as_str()));
    let wrong = named.filter(|dependency| {
        let test = dependency.kind.as_deref() == Some("dev");
        let testkit = test && dependency.name == "agora-testkit";
        let itself = test && dependency.name == package.name;
        !testkit && !itself && !allowed.contains(&dependency.name.as_str())
    });
    wrong
        .map(|dependency| {
            format!("{} depends on {}, which xtask/src/layers.rs does not allow", package.name, dependency.name)
        })
        .collect()
}

fn allowed(name: &str) -> Option<Vec<&'static str>> {
    if name == "agora" {
        return Some([BASE, SERVICES, &["agora-mailbox"]].concat());
    }
    if SERVICES.contains(&name) {
        return Some(BASE.to_vec());
    }
    EDGES.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, allowed)| allowed.to_vec())
}

fn wrapper_faults(package: &Package) -> Vec<String> {
    let named = package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
    let rules = named.filter_map(|dependency| WRAPPED.iter().find(|(wrapped, _)| *wrapped == dependency.name));
    let wrong = rules.filter(|(_, by)| !by.contains(&package.name.as_str()));
    wrong.map(|(wrapped, by)| format!("{} depends on {wrapped}; only {by:?} may", package.name)).collect()
}

/// Violations in one source file; `path` is relative to the checkout.
pub fn module_faults(path: &Path, text: &str) -> Vec<String> {
    let Some(banned) = banned(path) else { return Vec::new() };
    let code = text.lines().take_while(|line| !line.starts_with("mod tests"));
    let mut faults = Vec::new();
    for (number, line) in code.enumerate() {
        let is_comment = line.trim_start().starts_with("//");
        if let Some(word) = banned.iter().find(|word| !is_comment && line.contains(**word)) {
            faults.push(format!("{}:{}: `{word}` is not allowed in this module", path.display(), number + 1));
        }
    }
    faults
}

fn banned(path: &Path) -> Option<&'static [&'static str]> {
    let text = path.to_string_lossy();
    let (folder, file) = text.split_once("/src/")?;
    let module = file.split(['/', '.']).next().unwrap_or_default();
    if folder.starts_with("services/") && module == "domain" {
        return Some(IMPURE_DOMAIN);
    }
    if folder.starts_with("services/") && PURE_FILES.contains(&module) {
        return Some(IMPURE);
    }
    (folder == "operator/controller" && PURE_OPERATOR_FILES.contains(&module)).then_some(IMPURE_OPERATOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) });
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            license: None,
            source: None,
            dependencies: dependencies.collect(),
            features: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn de19_a_dependency_between_services_is_a_violation() {
        let workspace = Workspace {
            packages: vec![
                package("agora-cart", &[("agora-order", None), ("agora-web", None)]),
                package("agora-order", &[]),
                package("agora-web", &[]),
            ],
            resolve: None,
        };
        assert_eq!(faults(&workspace), ["agora-cart depends on agora-order, which xtask/src/layers.rs does not allow"]);
    }

    #[test]
    fn de19_no_source_of_the_project_breaks_the_rules_of_its_layer() {
        let paths = crate::environment::Paths::find().unwrap();
        let sources = crate::tidy::tracked(&paths).unwrap().into_iter();
        let mut found = 0;
        for path in sources.filter(|path| path.extension().is_some_and(|end| end == "rs")) {
            let Ok(text) = std::fs::read_to_string(paths.repo.join(&path)) else { continue };
            assert_eq!(module_faults(&path, &text), [""; 0], "{}", path.display());
            found += usize::from(banned(&path).is_some());
        }
        assert!(found > 100, "{found} sources have rules");
        assert_eq!(crate::rooms::faults(&paths).unwrap(), [""; 0]);
        assert_eq!(faults(&Workspace::members(&paths).unwrap()), [""; 0]);
    }

    #[test]
    fn only_tests_may_depend_on_the_testkit() {
        let with = |kind| Workspace {
            packages: vec![package("agora-web", &[("agora-testkit", kind)]), package("agora-testkit", &[])],
            resolve: None,
        };
        assert_eq!(faults(&with(Some("dev"))).len(), 0);
        assert_eq!(faults(&with(None)).len(), 1);
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_a_violation() {
        let workspace = Workspace { packages: vec![package("agora-new", &[])], resolve: None };
        assert!(faults(&workspace)[0].contains("not in the table"));
    }

    #[test]
    fn only_the_wrapper_may_depend_on_a_wrapped_crate() {
        let workspace = Workspace {
            packages: vec![package("agora-user", &[("fred", None)]), package("agora-redis", &[("fred", None)])],
            resolve: None,
        };
        assert_eq!(faults(&workspace).len(), 1);
    }

    #[test]
    fn only_rdkafka_may_depend_on_openssl() {
        use crate::workspace::{Node, Resolve};
        let node = |id: &str| Node { id: id.to_owned(), dependencies: vec!["openssl-sys".to_owned()] };
        let packages = vec![package("openssl-sys", &[]), package("rdkafka-sys", &[]), package("other", &[])];
        let workspace =
            Workspace { packages, resolve: Some(Resolve { nodes: vec![node("rdkafka-sys"), node("other")] }) };
        assert_eq!(tree_faults(&workspace).len(), 1);
    }

    #[test]
    fn de19_a_pure_module_must_not_use_storage() {
        let text =
            "//! sqlx::Error is not named here.\nuse sqlx::Error;\n#[cfg(test)]\nmod tests {\n use sqlx::x;\n}\n";
        assert_eq!(module_faults(Path::new("services/cart/src/domain.rs"), text).len(), 1);
        assert_eq!(module_faults(Path::new("services/cart/src/service/checkout.rs"), text).len(), 1);
        assert_eq!(module_faults(Path::new("services/cart/src/postgres.rs"), text).len(), 0);
        assert_eq!(module_faults(Path::new("operator/controller/src/decide/desired/secret.rs"), text).len(), 1);
    }
}
