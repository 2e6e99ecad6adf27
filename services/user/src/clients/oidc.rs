//! An OpenID Connect provider: discovery, the exchange of a code with PKCE, and the identity in a verified ID token.
//!
//! The address of the provider is a setting, so it may be of a private network. Its answers are bounded and not followed
//! elsewhere. Must not decide about accounts.

mod id_token;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agora_chassis::{BoxError, WatchedSecret};
use agora_outbound::foreign::{
    AddressPolicy, AllowedPorts, ForeignClient, ForeignLimits, ForeignUrl, SystemResolver, TlsError,
};
use agora_vocab::Secret;
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use form_urlencoded::{Serializer, byte_serialize};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use self::id_token::{Expected, verified};
use crate::{
    domain::{BegunStaffLogin, GroupRoles, StaffIdentity},
    ports::{ProviderError, StaffProvider},
};

/// Limits of one request to the provider.
const LIMITS: ForeignLimits =
    ForeignLimits { connect: Duration::from_secs(2), total: Duration::from_secs(5), answer_bytes_max: 256 << 10 };
/// Age from which the provider's addresses and keys are read again.
const DISCOVERED_MAX: Duration = Duration::from_hours(1);
/// Least age at which they are read again because a token names an unknown key: anybody can make one.
const DISCOVERED_MIN: Duration = Duration::from_mins(1);
/// What is asked for.
const SCOPE: &str = "openid email profile";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The provider, and this shop as the provider knows it.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// `https://sso.example.com`, as it stands in ID tokens.
    pub issuer_url: String,
    pub client_id: String,
    /// Read at each use.
    pub client_secret: WatchedSecret,
    /// Where the provider sends the browser back to; registered there.
    pub redirect_url: String,
    /// The claim of ID tokens with the person's groups.
    pub groups_claim: String,
    pub roles: GroupRoles,
    /// Whether the provider may be reached without TLS: for development only.
    pub plain_http: bool,
}

/// Logs members of the staff in at the provider.
#[derive(Debug)]
pub struct OidcProvider {
    settings: OidcSettings,
    policy: AddressPolicy,
    client: ForeignClient,
    discovered: Mutex<Option<Arc<Discovered>>>,
}

#[derive(Debug)]
struct Discovered {
    metadata: Metadata,
    keys: Vec<Value>,
    at: Instant,
}

/// What the provider says about itself.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Exchanged {
    id_token: String,
}

/// The answer of the provider is not what the standard asks for.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0} is no address that may be used")]
    Address(&'static str),
    #[error("{0} answered {1}")]
    Status(&'static str, StatusCode),
    #[error("the issuer in the provider's metadata is another one than OIDC_ISSUER_URL")]
    Issuer,
}

impl OidcProvider {
    /// Opens no connection.
    pub fn new(settings: OidcSettings) -> Result<Self, TlsError> {
        let policy =
            AddressPolicy { plain_http: settings.plain_http, private_addresses: true, ports: AllowedPorts::Any };
        let client = ForeignClient::new(policy.clone(), LIMITS, Arc::new(SystemResolver), None)?;
        Ok(Self { settings, policy, client, discovered: Mutex::default() })
    }

    /// Addresses and keys of the provider, read at most `max` ago.
    async fn discovered(&self, max: Duration) -> Result<Arc<Discovered>, BoxError> {
        let known = self.known().clone().filter(|known| known.at.elapsed() < max);
        if let Some(known) = known {
            return Ok(known);
        }
        let issuer = self.settings.issuer_url.trim_end_matches('/');
        let metadata: Metadata = self.read("the discovery", &format!("{issuer}{DISCOVERY}")).await?;
        if metadata.issuer.trim_end_matches('/') != issuer {
            return Err(Unusable::Issuer.into());
        }
        let KeySet { keys } = self.read("the key set", &metadata.jwks_uri).await?;
        let fresh = Arc::new(Discovered { metadata, keys, at: Instant::now() });
        *self.known() = Some(fresh.clone());
        Ok(fresh)
    }

    fn known(&self) -> MutexGuard<'_, Option<Arc<Discovered>>> {
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read<T: DeserializeOwned>(&self, what: &'static str, url: &str) -> Result<T, BoxError> {
        let url = ForeignUrl::parse(url, &self.policy).map_err(|_| Unusable::Address(what))?;
        let answer = self.client.get(&url, accepting_json()).await?;
        if answer.status != StatusCode::OK {
            return Err(Unusable::Status(what, answer.status).into());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Exchanges a code for an ID token.
    async fn exchange(&self, code: &Secret, begun: &BegunStaffLogin) -> Result<String, ProviderError> {
        let discovered = self.discovered(DISCOVERED_MAX).await.map_err(ProviderError::Unavailable)?;
        let unavailable = ProviderError::Unavailable;
        let endpoint = ForeignUrl::parse(&discovered.metadata.token_endpoint, &self.policy);
        let endpoint = endpoint.map_err(|_| unavailable(Unusable::Address("the token endpoint").into()))?;
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code.expose())
            .append_pair("redirect_uri", &self.settings.redirect_url)
            .append_pair("code_verifier", begun.code_verifier.expose())
            .finish();
        let mut headers = accepting_json();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::AUTHORIZATION, self.basic().map_err(unavailable)?);
        let answer = self.client.post(&endpoint, headers, Bytes::from(form)).await;
        let answer = answer.map_err(|error| unavailable(error.into()))?;
        match answer.status {
            StatusCode::OK => {
                let exchanged = serde_json::from_slice::<Exchanged>(&answer.body);
                Ok(exchanged.map_err(|error| unavailable(error.into()))?.id_token)
            }
            StatusCode::BAD_REQUEST => Err(ProviderError::Refused("the provider does not accept the code")),
            status => Err(unavailable(Unusable::Status("the token endpoint", status).into())),
        }
    }

    /// The shop's own login at the provider (RFC 6749, 2.3.1).
    fn basic(&self) -> Result<HeaderValue, BoxError> {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let secret = self.settings.client_secret.current();
        let login = format!("{}:{}", encoded(&self.settings.client_id), encoded(secret.expose()));
        let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(login)))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[async_trait]
impl StaffProvider for OidcProvider {
    async fn authorization_url(&self, state: &Secret, begun: &BegunStaffLogin) -> Result<String, ProviderError> {
        let discovered = self.discovered(DISCOVERED_MAX).await.map_err(ProviderError::Unavailable)?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, begun.code_verifier.expose().as_bytes()));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect_url)
            .append_pair("scope", SCOPE)
            .append_pair("state", state.expose())
            .append_pair("nonce", begun.nonce.expose())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let endpoint = &discovered.metadata.authorization_endpoint;
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{endpoint}{separator}{query}"))
    }

    async fn identity(&self, code: &Secret, begun: &BegunStaffLogin) -> Result<StaffIdentity, ProviderError> {
        let token = self.exchange(code, begun).await?;
        let mut discovered = self.discovered(DISCOVERED_MAX).await.map_err(ProviderError::Unavailable)?;
        if !id_token::has_key(&token, &discovered.keys) {
            discovered = self.discovered(DISCOVERED_MIN).await.map_err(ProviderError::Unavailable)?;
        }
        let expected = Expected {
            issuer: &discovered.metadata.issuer,
            client_id: &self.settings.client_id,
            nonce: begun.nonce.expose(),
            groups_claim: &self.settings.groups_claim,
        };
        let claims = verified(&token, &discovered.keys, &expected).map_err(ProviderError::Refused)?;
        Ok(StaffIdentity {
            issuer: self.settings.issuer_url.clone(),
            subject: claims.subject,
            email: claims.email,
            name: claims.name,
            roles: self.settings.roles.of(claims.groups.iter().map(String::as_str)),
        })
    }
}

fn accepting_json() -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))])
}
