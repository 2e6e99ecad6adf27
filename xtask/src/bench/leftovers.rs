//! Leftover objects of a marketplace: unexpected or missing children, objects that wait for a finalizer, secrets in
//! logs. Collects only; the invariant checker decides.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::command::output;
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, get_json};

const KINDS: &str = "deployments,services,configmaps,secrets,horizontalpodautoscalers,poddisruptionbudgets,\
                     networkpolicies,serviceaccounts,jobs,ingresses";
/// Shorter values can occur in a log by chance.
const SECRET_CHARS_MIN: usize = 16;
/// Keys of Secrets whose values are public.
const PUBLIC: [&str; 2] = ["username", "jwks.json"];

/// Child objects that the operator created, as `kind/name`.
pub fn children(target: &Target) -> Result<Vec<String>> {
    // Secrets that outlive their Marketplace have no instance label.
    let selector = "app.kubernetes.io/managed-by=agora-operator";
    let names = output(&mut target.kubectl(["-n", NAMESPACE, "get", KINDS, "-l", selector, "-o", "name"]))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// The JSON form of the checker's `Leftovers`, with these expected children.
pub fn find(target: &Target, expected: &[String]) -> Result<Value> {
    let kinds = format!("{KINDS},marketplaces");
    let all = get_json(target, &["-n", NAMESPACE, "get", &kinds])?;
    let items = all["items"].as_array().cloned().unwrap_or_default();
    let waiting = items.iter().filter(|item| !item["metadata"]["deletionTimestamp"].is_null());
    let waiting: Vec<String> = waiting.map(|item| format!("{}/{}", item["kind"], item["metadata"]["name"])).collect();
    let secrets: Vec<String> = items.iter().filter(|item| item["kind"] == "Secret").flat_map(secret_words).collect();
    Ok(json!({
        "expected": expected,
        "found": children(target)?,
        "waiting": waiting,
        "leaks": leaks(target, &secrets)?,
    }))
}

/// Pods of the marketplace and of the operator whose log contains one of these values.
fn leaks(target: &Target, secrets: &[String]) -> Result<Vec<String>> {
    let selector = format!("app.kubernetes.io/instance={MARKETPLACE}");
    let of_shop = ["-n", NAMESPACE, "get", "pods", "-l", &selector, "-o", "name"];
    let pods = output(&mut target.kubectl(of_shop))?;
    let pods = pods.lines().map(|pod| (NAMESPACE, pod)).chain([("agora-system", "deploy/agora-operator")]);
    let mut found = Vec::new();
    for (namespace, pod) in pods {
        // A pod that has ended meanwhile has no log.
        let log = output(&mut target.kubectl(["-n", namespace, "logs", pod, "--tail=-1"])).unwrap_or_default();
        if secrets.iter().any(|secret| log.contains(secret)) {
            found.push(format!("the log of {pod}"));
        }
    }
    Ok(found)
}

/// Secret values to search for: values, lines of PEM files, passwords in URLs.
fn secret_words(secret: &Value) -> Vec<String> {
    let values = secret["data"].as_object().into_iter().flatten().filter(|(key, _)| !PUBLIC.contains(&key.as_str()));
    let texts = values.filter_map(|(_, value)| String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok());
    texts.flat_map(|text| text.lines().filter_map(word).collect::<Vec<_>>()).collect()
}

fn word(line: &str) -> Option<String> {
    let password = line.split_once("://").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
    let word = password.map_or(line, |(_, password)| password);
    (word.len() >= SECRET_CHARS_MIN && !word.starts_with("-----")).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_lines_of_keys_are_searched_and_user_names_are_not() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";
        let data = json!({
            "username": STANDARD.encode("a-user-with-a-long-name"),
            "url": STANDARD.encode("postgres://shop_user:0123456789abcdef@host:5432/db"),
            "current.pem": STANDARD.encode(pem),
            "short": STANDARD.encode("x"),
        });
        let mut words = secret_words(&json!({ "kind": "Secret", "data": data }));
        words.sort();
        assert_eq!(words, ["0123456789abcdef", "MC4CAQAwBQYDK2VwBCIEIA"]);
    }
}
