//! The public form of events for webhooks. Which fields leave the shop is the domain's matter.

use agora_events::{Envelope, order_return::ReturnEvent, shipment::ShipmentEvent};

use crate::domain::webhook::{WebhookEvent, public_event};

/// `None` for an event that stays in the shop.
pub(super) fn of(envelope: &Envelope) -> Result<Option<WebhookEvent>, serde_json::Error> {
    // These notify no user, and so are parsed here only.
    envelope.event::<ShipmentEvent>()?;
    envelope.event::<ReturnEvent>()?;
    public_event(envelope.id, &envelope.kind, envelope.time, envelope.data.get())
}
