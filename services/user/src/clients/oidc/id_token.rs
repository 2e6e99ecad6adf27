//! ID tokens: signed by a key of the provider with an asymmetric algorithm, for this shop, for this login, and of now. Pure but
//! for the clock of the verification.

use agora_vocab::Email;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, jwk::Jwk};
use serde_json::Value;

use crate::domain::Text;

/// Algorithms whose keys the provider alone can sign with.
const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Longest subject, in bytes (OpenID Connect Core 1.0, 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// What a token must say.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// The claim with the groups: a list, or one.
    pub groups_claim: &'a str,
}

/// What a token says about the person.
pub(super) struct Claims {
    pub subject: String,
    pub email: Email,
    pub name: Option<Text<200>>,
    pub groups: Vec<String>,
}

/// Whether the set has a key that the token may be signed with.
pub(super) fn has_key(token: &str, keys: &[Value]) -> bool {
    decode_header(token).is_ok_and(|header| candidates(&header, keys).next().is_some())
}

/// The claims of a token, or why it is not accepted.
pub(super) fn verified(token: &str, keys: &[Value], expected: &Expected<'_>) -> Result<Claims, &'static str> {
    let header = decode_header(token).map_err(|_| "the ID token is malformed")?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err("the algorithm of the ID token is not accepted");
    }
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    let mut found = candidates(&header, keys);
    let claims = found.find_map(|key| Some(decode::<Value>(token, &key, &validation).ok()?.claims));
    let claims = claims.ok_or("signature, issuer, audience or time of the ID token is wrong")?;
    if claims["nonce"] != expected.nonce {
        return Err("the ID token is of another login");
    }
    let is_for_several = claims["aud"].as_array().is_some_and(|audiences| audiences.len() > 1);
    if (is_for_several || !claims["azp"].is_null()) && claims["azp"] != expected.client_id {
        return Err("the ID token was issued to another client");
    }
    if claims["email_verified"] == Value::Bool(false) {
        return Err("the provider has not verified the e-mail address");
    }
    let subject = claims["sub"].as_str().filter(|subject| (1..=SUBJECT_BYTES_MAX).contains(&subject.len()));
    let email = claims["email"].as_str().and_then(|email| Email::parse(email).ok());
    Ok(Claims {
        subject: subject.ok_or("the ID token has no subject")?.to_owned(),
        email: email.ok_or("the ID token has no e-mail address")?,
        name: claims["name"].as_str().and_then(|name| Text::parse("name", name).ok()),
        groups: groups(&claims[expected.groups_claim]),
    })
}

fn groups(claim: &Value) -> Vec<String> {
    let listed = claim.as_array().into_iter().flatten().filter_map(Value::as_str);
    listed.chain(claim.as_str()).map(str::to_owned).collect()
}

/// The keys with the id of the token; all keys if it names none.
fn candidates(header: &Header, keys: &[Value]) -> impl Iterator<Item = DecodingKey> {
    let is_named = move |key: &&Value| header.kid.as_deref().is_none_or(|id| key["kid"] == id);
    let signs = |key: &&Value| key["use"].as_str().is_none_or(|purpose| purpose == "sig");
    let usable = keys.iter().filter(is_named).filter(signs);
    usable.filter_map(|key| {
        let key: Jwk = serde_json::from_value(key.clone()).ok()?;
        DecodingKey::from_jwk(&key).ok()
    })
}
