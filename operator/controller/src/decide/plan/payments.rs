//! The part of a plan about the payment provider.

use agora_crd::{PaymentProvider, Profile, Reason};

use super::addresses::host_and_port_of_url;
use super::{Scope, Violation};
use crate::decide::purpose::Purpose;

/// A payment provider with Stripe's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripePlan {
    pub base_url: String,
    /// `host:port` of the base URL.
    pub address: String,
    pub port: u16,
    pub secret: String,
    pub return_url: Option<String>,
}

impl StripePlan {
    /// The use of the API key.
    pub fn login(&self) -> Purpose {
        Purpose::Payments(self.address.clone())
    }
}

pub(super) fn provider(spec: &agora_crd::MarketplaceSpec, violations: &mut Vec<Violation>) -> PaymentProvider {
    match (&spec.payments, spec.profile) {
        (Some(payments), _) => payments.type_,
        (None, Profile::Development) => PaymentProvider::Simulator,
        (None, _) => {
            let message = "spec.payments is required outside profile Development: set spec.payments.type";
            violations.push(Violation::new(Reason::InvalidSpec, Scope::Service("payment"), message));
            PaymentProvider::None
        }
    }
}

pub(super) fn stripe(spec: &agora_crd::MarketplaceSpec) -> Option<StripePlan> {
    let stripe = spec.payments.as_ref()?.stripe_compatible.as_ref()?;
    let (host, port) = host_and_port_of_url(&stripe.base_url)?;
    Some(StripePlan {
        base_url: stripe.base_url.clone(),
        address: format!("{host}:{port}"),
        port,
        secret: stripe.secret_ref.name.clone(),
        return_url: stripe.return_url.clone(),
    })
}
