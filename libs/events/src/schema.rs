//! The events of every topic, as schemas. Compiled with the feature `openapi` alone; makes no document.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema},
};

use crate::{
    DeadLetterEvent, Topic,
    cart::CartEvent,
    cart_line::CartLineEvent,
    catalog::{InventoryEvent, ProductEvent},
    order::OrderEvent,
    order_return::ReturnEvent,
    payment::PaymentEvent,
    promotional::PromotionalEvent,
    recommendation::RecommendationEvent,
    shipment::ShipmentEvent,
    user::UserEvent,
};

/// Named schemas, to which others refer.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// An event in its envelope.
pub struct DescribedEvent {
    /// Its `type`, such as `order.paid`.
    pub kind: &'static str,
    /// The version of the shape of `data`.
    pub version: u16,
    pub documentation: String,
    /// Refers to one of the schemas of its [`Events`].
    pub data: RefOr<Schema>,
}

/// Events of one topic. A topic may have several.
pub struct Events {
    pub topic: Topic,
    pub documentation: String,
    pub events: Vec<DescribedEvent>,
    pub schemas: Schemas,
}

/// An enum of events.
pub trait Described {
    fn described() -> Events;
}

impl Events {
    pub(crate) fn on(topic: Topic, documentation: &[&str]) -> Self {
        Self { topic, documentation: joined(documentation), events: Vec::new(), schemas: Vec::new() }
    }

    pub(crate) fn event<T: ToSchema>(mut self, kind: &'static str, version: u16, documentation: &[&str]) -> Self {
        self.schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
        <T as ToSchema>::schemas(&mut self.schemas);
        let data = Ref::from_schema_name(T::name()).into();
        self.events.push(DescribedEvent { kind, version, documentation: joined(documentation), data });
        self
    }
}

/// All events, in the order of their topics.
pub fn all() -> [Events; 12] {
    [
        UserEvent::described(),
        ProductEvent::described(),
        InventoryEvent::described(),
        PromotionalEvent::described(),
        CartEvent::described(),
        CartLineEvent::described(),
        OrderEvent::described(),
        ShipmentEvent::described(),
        ReturnEvent::described(),
        PaymentEvent::described(),
        RecommendationEvent::described(),
        DeadLetterEvent::described(),
    ]
}

fn joined(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}
