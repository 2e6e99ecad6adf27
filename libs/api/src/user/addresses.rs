//! Bodies of the address book.

use agora_vocab::{AddressId, AddressText};
use serde::{Deserialize, Serialize};

/// An address as it is written on a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostalAddress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Street and number.
    pub street: String,
    pub city: String,
    /// State or region, where addresses have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code, where addresses have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 code of two letters.
    pub country: String,
}

/// An entry of the address book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    pub id: AddressId,
    /// What is on the parcel.
    #[serde(flatten)]
    pub address: PostalAddress,
}

impl From<PostalAddress> for AddressText {
    fn from(address: PostalAddress) -> Self {
        let PostalAddress { recipient, street, city, state, postal_code, country } = address;
        Self { recipient, street, city, state, postal_code, country }
    }
}

impl From<agora_vocab::Address> for PostalAddress {
    fn from(address: agora_vocab::Address) -> Self {
        let agora_vocab::Address { recipient, street, city, state, postal_code, country } = address;
        Self { recipient, street, city, state, postal_code, country: country.as_str().to_owned() }
    }
}

/// Of a postal address and an id: `allOf` would refuse the id, which a postal address alone does not have.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Address {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{Ref, RefOr, Schema};

        let id = Ref::from_schema_name(<AddressId as utoipa::ToSchema>::name());
        let mut schema = <PostalAddress as utoipa::PartialSchema>::schema();
        if let RefOr::T(Schema::Object(address)) = &mut schema {
            address.description = Some("An entry of the address book.".to_owned());
            address.additional_properties = None;
            address.properties.insert("id".to_owned(), id.into());
            address.required.push("id".to_owned());
        }
        schema
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Address {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        let name = <AddressId as utoipa::ToSchema>::name().into_owned();
        schemas.push((name, <AddressId as utoipa::PartialSchema>::schema()));
    }
}
