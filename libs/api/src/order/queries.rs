//! Queries of orders, as text where the service says what is wrong with them.

use agora_vocab::UserId;
use serde::Deserialize;

/// `GET /orders?limit=&cursor=&offset=` or `GET /orders?ids=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct OrdersQuery {
    /// Ids with commas between: exactly these orders, without those that the caller must not see.
    pub ids: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10000.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub offset: Option<String>,
}

/// `GET /admin/orders?userId=&limit=&cursor=&offset=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllOrdersQuery {
    /// Only orders of this user.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub user_id: Option<UserId>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10000.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub offset: Option<String>,
}
