//! How members of the staff log in. Must not depend on the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretRef, rules};

/// How members of the staff log in, besides the first admin: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.type == 'OIDC') == has(self.oidc)")
    .message("member oidc is required with type OIDC"))]
#[serde(rename_all = "camelCase")]
pub struct Staff {
    /// The kind of provider: `OIDC`.
    #[serde(rename = "type")]
    pub type_: StaffType,
    /// An OpenID Connect provider; used with type `OIDC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
}

/// A kind of identity provider.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum StaffType {
    /// OpenID Connect: an authorization code with PKCE.
    #[serde(rename = "OIDC")]
    Oidc,
}

/// An OpenID Connect provider.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Oidc {
    /// The issuer, as it stands in ID tokens, for example `https://sso.example.com/realms/shop`. Without TLS only in profile
    /// Development. Its certificate must be of an authority that the image knows.
    #[schemars(length(min = 8, max = 512), regex(pattern = rules::HTTP_ADDRESS))]
    pub issuer_url: String,
    /// The name of this shop at the provider.
    #[schemars(length(min = 1, max = 256))]
    pub client_id: String,
    /// Secret with the key `client-secret`. Its annotation lists `oidc=<host>:<port>`, or `oidc` for any address.
    pub client_secret_ref: SecretRef,
    /// Where the provider sends browsers back to; registered there.
    #[schemars(length(min = 8, max = 2_048), regex(pattern = "^https?://[^ ]+$"))]
    pub redirect_url: String,
    /// The claim of ID tokens with the groups of a person.
    #[serde(default = "groups_claim")]
    #[schemars(length(min = 1, max = 128))]
    pub groups_claim: String,
    /// Roles and the groups that give them. A person without such a group cannot log in.
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["role".into()]))]
    pub roles: Vec<RoleGroups>,
}

fn groups_claim() -> String {
    "groups".to_owned()
}

/// The groups whose members have a role.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleGroups {
    pub role: StaffRole,
    /// Names of groups at the provider.
    #[schemars(
        length(min = 1, max = 12),
        inner(length(min = 1, max = 128), regex(pattern = "^[^,= ]([^,=]*[^,= ])?$"))
    )]
    pub groups: Vec<String>,
}

/// A role of the staff.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StaffRole {
    /// Helps shoppers with their accounts and orders.
    Support,
    /// Keeps what is sold.
    Catalog,
    /// Keeps the stock and sends it.
    Warehouse,
    /// Moves money: payments, refunds and their reports.
    Finance,
    /// Runs the shop; has every other role.
    Admin,
}

impl StaffRole {
    /// The role's name in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Catalog => "catalog",
            Self::Warehouse => "warehouse",
            Self::Finance => "finance",
            Self::Admin => "admin",
        }
    }
}
