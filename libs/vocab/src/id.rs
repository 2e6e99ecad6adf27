//! Ids with a type each, so that an order's id is never taken for a user's.

use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id that this UUID is.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID that this id is.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// A registered user.
    UserId
    /// One login of a user: the family of refresh tokens that descends from it.
    SessionId
    /// An entry of a user's address book.
    AddressId
    /// A product of the catalog.
    ProductId
    /// An import of products; chosen by the client.
    ImportId
    /// A variant of a product, such as a colour.
    VariantId
    /// A place that holds stock.
    WarehouseId
    /// A category, a brand, a supplier or a location of warehouses.
    TermId
    /// A shopper's cart.
    CartId
    /// A line of a cart.
    LineId
    /// An order; also the recovery point of its placing.
    OrderId
    /// A payment of an order.
    PaymentId
    /// A refund of a payment.
    RefundId
    /// A parcel with units of an order.
    ShipmentId
    /// Units of an order that the customer sends back.
    ReturnId
    /// Who sells a product and is owed its price.
    SellerId
    /// A hold on stock for one line of an order.
    ReservationId
    /// An event that left the database.
    EventId
    /// A step of a saga, repeated under the same id.
    CommandId
    /// A notification of a user, and the mail that carries it.
    NotificationId
    /// A promotion of the catalog: one campaign.
    PromotionId
    /// A request to set a new password.
    PasswordResetId
    /// A request to change the e-mail address of an account.
    EmailChangeId
}

impl SellerId {
    /// The marketplace itself, which sells everything as long as there is one seller.
    pub const HOUSE: Self = Self(Uuid::from_u128(0x01));
}

impl WarehouseId {
    /// The default warehouse of stock.
    pub const MAIN: Self = Self(Uuid::from_u128(0x01));
}
