//! Secrets: database logins, the masters and the keys of internal tokens, the keys of access tokens and of stored secrets,
//! the login of the first admin.
//!
//! Those that stored data depends on have no owner, so that they stay after a deletion with policy Retain.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{exact, labels};
use crate::decide::credentials::{self, CALL_KEYS, Credentials, EncryptionKeys, InternalMasters, ROTATED, SigningKeys};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;
use crate::names;

/// Characters that are encoded in a part of a URL: all but the unreserved ones of RFC 3986.
const URL_PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The database login of a service.
pub fn database(plan: &Plan, service: &ServicePlan, credentials: &Credentials) -> Option<Object> {
    let password = credentials.databases.get(service.row.name)?.expose();
    let login = names::login(&plan.isolation_key, service.row.name);
    let address = plan.database.address();
    let database = names::database(&plan.isolation_key, service.row.name);
    let mode = if plan.database.tls.verified() { "verify-full" } else { "disable" };
    let [user, secret_part, path] = [&login, password, &database].map(|part| utf8_percent_encode(part, URL_PART));
    // The client takes a host in brackets for a name; the parameter wins.
    let host = &plan.database.host;
    let literal = if host.contains(':') { format!("&host={host}") } else { String::new() };
    let url = format!("postgres://{user}:{secret_part}@{address}/{path}?sslmode={mode}{literal}");
    let name = credentials::database_secret(&plan.name, service.row.name);
    let metadata = labels::owned(plan, name, service.row.name);
    let data = [("username", login.as_str()), ("password", password), ("url", &url)];
    Some(secret(metadata, "Opaque", &data))
}

/// The masters of the keys of internal tokens. No pod mounts them.
pub fn internal(plan: &Plan, credentials: &Credentials) -> Object {
    let metadata = labels::owned(plan, credentials::internal_secret(&plan.name), labels::INTERNAL);
    let InternalMasters { current, next, previous, rotated } = &credentials.internal;
    let rotated = rotated.text();
    let mut data = vec![("current", current.expose()), ("next", next.expose()), (ROTATED, rotated.as_str())];
    data.extend(previous.iter().map(|previous| ("previous", previous.expose())));
    secret(metadata, "Opaque", &data)
}

/// The keys of a service's own callers and callees, of links in mails if it derives them, and of tokens that it alone
/// derives.
pub fn call_keys(plan: &Plan, service: &ServicePlan, credentials: &Credentials) -> Object {
    let name = service.row.name;
    let metadata = labels::owned(plan, credentials::call_keys_secret(&plan.name, name), name);
    let links = agora_topology::LINKS.contains(&name);
    let tokens = agora_topology::OWN_TOKENS.contains(&name).then_some(name);
    let keys = credentials.internal.keys().restricted(service.row.pairs(), links, tokens);
    secret(metadata, "Opaque", &[(CALL_KEYS, keys.expose())])
}

/// The keys of access tokens.
pub fn signing(plan: &Plan, keys: &SigningKeys) -> Object {
    let metadata = labels::kept(plan, credentials::signing_secret(&plan.name), "user");
    let rotated = keys.rotated.text();
    let data = [("current.pem", keys.current.expose()), ("next.pem", keys.next.expose()), (ROTATED, rotated.as_str())];
    secret(metadata, "Opaque", &data)
}

/// The keys that a service encrypts stored secrets under.
pub fn encryption(plan: &Plan, service: &str, keys: &EncryptionKeys) -> Object {
    let metadata = labels::kept(plan, credentials::encryption_secret(&plan.name, service), service);
    let data = [("current", keys.current.expose()), ("previous", keys.previous.expose())];
    secret(metadata, "Opaque", &data)
}

/// The login of the first admin.
pub fn admin(plan: &Plan, credentials: &Credentials) -> Object {
    let metadata = labels::kept(plan, credentials::admin_secret(&plan.name), "user");
    let login = &credentials.admin;
    let data = [("username", login.username.as_str()), ("password", login.password.expose())];
    secret(metadata, "kubernetes.io/basic-auth", &data)
}

fn secret(metadata: ObjectMeta, type_: &str, data: &[(&str, &str)]) -> Object {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let data: BTreeMap<String, ByteString> =
        data.iter().map(|(name, value)| ((*name).to_owned(), bytes(value))).collect();
    let secret = Secret { metadata, data: Some(data), type_: Some(type_.to_owned()), ..Secret::default() };
    exact(Kind::Secret, Group::Credentials, &secret)
}
