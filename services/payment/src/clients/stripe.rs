//! A payment provider with Stripe's HTTP interface: payment intents, refunds, balance transactions.
//!
//! Requests carry the attempt's key as `Idempotency-Key` and as metadata, by which a charge or refund is found when the key
//! cannot be sent again. Only an answer that decides ends an attempt: everything else is an unknown outcome.

mod transport;
mod webhook;
mod wire;

use agora_vocab::Money;
use async_trait::async_trait;
use time::OffsetDateTime;

pub use self::{transport::StripeSettings, webhook::StripeWebhooks};
use self::{
    transport::{Answer, Form},
    wire::{BalanceTransaction, Intent, List, Refund},
};
use crate::{
    domain::{CaptureMethod, ChargeOutcome, MoneyMovement},
    ports::{Charges, NewCharge, ProviderError, ProviderRefunds, RefundOutcome, Reports},
};

/// Metadata: the key of the attempt.
const KEY: &str = "agora_key";
/// Number of entries in one page of a list.
const PAGE: &str = "100";
/// Maximum number of pages of a report.
const PAGES_MAX: usize = 1000;
/// Tokens of Stripe's older interface, which is not that of payment methods.
const CARD_TOKEN: &str = "tok_";

/// A provider with Stripe's HTTP interface; a clone shares its connections.
#[derive(Clone, Debug)]
pub struct Stripe {
    http: transport::HttpClient,
    return_url: Option<String>,
}

impl Stripe {
    /// Fails if the base URL is not an address of HTTP, or if the system's certificates cannot be read.
    pub fn new(settings: StripeSettings) -> anyhow::Result<Self> {
        let return_url = settings.return_url.clone();
        Ok(Self { http: transport::HttpClient::new(settings)?, return_url })
    }

    async fn change(&self, key: &str, reference: &str, verb: &str, form: Form) -> Result<ChargeOutcome, ProviderError> {
        let path = format!("/v1/payment_intents/{}/{verb}", segment(reference)?);
        match self.http.post(&path, key, &form).await? {
            Answer::Accepted(body) => wire::parse::<Intent>(&body)?.outcome(),
            // The charge is in another state, which its own outcome says.
            Answer::Refused(_) => self.read(reference).await?.outcome(),
        }
    }

    async fn read(&self, reference: &str) -> Result<Intent, ProviderError> {
        let path = format!("/v1/payment_intents/{}", segment(reference)?);
        self.get(&path, &Form::new().with("expand[]", "latest_charge")).await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str, query: &Form) -> Result<T, ProviderError> {
        match self.http.get(path, query).await? {
            Answer::Accepted(body) => wire::parse(&body),
            Answer::Refused(refusal) => Err(ProviderError::Unavailable(Box::new(refusal))),
        }
    }
}

#[async_trait]
impl Charges for Stripe {
    fn default_token(&self) -> Option<&'static str> {
        None
    }

    async fn charge(&self, charge: &NewCharge) -> Result<ChargeOutcome, ProviderError> {
        let NewCharge { key, amount, token, capture_method, payment, order } = charge;
        let capture = match capture_method {
            CaptureMethod::Automatic => "automatic",
            CaptureMethod::Manual => "manual",
        };
        let mut form = Form::new()
            .with("amount", amount.amount)
            .with("currency", amount.currency.as_str().to_ascii_lowercase())
            .with("confirm", "true")
            .with("capture_method", capture)
            .with("payment_method_types[]", "card")
            .with("expand[]", "latest_charge")
            .with(&format!("metadata[{KEY}]"), key)
            .with("metadata[agora_payment]", payment)
            .with("metadata[agora_order]", order);
        if token.expose().starts_with(CARD_TOKEN) {
            form = form.with("payment_method_data[type]", "card");
            form = form.with("payment_method_data[card][token]", token.expose());
        } else {
            form = form.with("payment_method", token.expose());
        }
        if let Some(url) = &self.return_url {
            form = form.with("return_url", url);
        }
        match self.http.post("/v1/payment_intents", key, &form).await? {
            Answer::Accepted(body) => {
                let intent: Intent = wire::parse(&body)?;
                // A repeated key gets the first answer, which may be older than the state of the charge.
                if intent.is_in_progress() { self.read(&intent.id).await?.outcome() } else { intent.outcome() }
            }
            Answer::Refused(refusal) => Ok(refusal.outcome()),
        }
    }

    async fn find_charge(&self, key: &str) -> Result<ChargeOutcome, ProviderError> {
        let query = Form::new().with("query", format!("metadata['{KEY}']:'{key}'")).with("limit", 1);
        let found: List<Intent> = self.get("/v1/payment_intents/search", &query).await?;
        match found.data.into_iter().next() {
            Some(intent) => self.read(&intent.id).await?.outcome(),
            None => Ok(ChargeOutcome::not_charged()),
        }
    }

    async fn refresh(&self, reference: &str) -> Result<ChargeOutcome, ProviderError> {
        let intent = self.read(reference).await?;
        if !intent.needs_confirmation() {
            return intent.outcome();
        }
        let form = match &self.return_url {
            Some(url) => Form::new().with("return_url", url),
            None => Form::new(),
        };
        self.change(&format!("{reference}:confirm"), reference, "confirm", form).await
    }

    async fn capture(&self, key: &str, reference: &str, amount: Money) -> Result<ChargeOutcome, ProviderError> {
        self.change(key, reference, "capture", Form::new().with("amount_to_capture", amount.amount)).await
    }

    async fn void(&self, key: &str, reference: &str) -> Result<ChargeOutcome, ProviderError> {
        self.change(key, reference, "cancel", Form::new()).await
    }
}

#[async_trait]
impl ProviderRefunds for Stripe {
    async fn refund(&self, key: &str, charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError> {
        let form = Form::new()
            .with("payment_intent", charge)
            .with("amount", amount.amount)
            .with(&format!("metadata[{KEY}]"), key);
        match self.http.post("/v1/refunds", key, &form).await? {
            Answer::Accepted(body) => Ok(wire::parse::<Refund>(&body)?.outcome()),
            Answer::Refused(_) => Ok(RefundOutcome::Failed),
        }
    }

    async fn find_refund(&self, key: &str, charge: &str) -> Result<Option<RefundOutcome>, ProviderError> {
        let query = Form::new().with("payment_intent", charge).with("limit", PAGE);
        let refunds: List<Refund> = self.get("/v1/refunds", &query).await?;
        let found = refunds.data.into_iter().find(|refund| refund.metadata.get(KEY).is_some_and(|own| own == key));
        Ok(found.map(Refund::outcome))
    }
}

#[async_trait]
impl Reports for Stripe {
    async fn report(&self, from: OffsetDateTime, before: OffsetDateTime) -> Result<Vec<MoneyMovement>, ProviderError> {
        let (mut movements, mut after) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MAX {
            let mut query = Form::new()
                .with("created[gte]", from.unix_timestamp())
                .with("created[lt]", before.unix_timestamp())
                .with("limit", PAGE)
                .with("expand[]", "data.source");
            if let Some(after) = &after {
                query = query.with("starting_after", after);
            }
            let page: List<BalanceTransaction> = self.get("/v1/balance_transactions", &query).await?;
            after = page.data.last().map(|last| last.id.clone());
            for transaction in page.data {
                movements.extend(transaction.movement()?);
            }
            if !page.has_more || after.is_none() {
                return Ok(movements);
            }
        }
        Err(ProviderError::Unavailable("the report of the provider has too many pages".into()))
    }
}

/// A reference as a part of a path: letters, digits and `_`.
fn segment(reference: &str) -> Result<&str, ProviderError> {
    let is_plain = !reference.is_empty() && reference.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_plain {
        Ok(reference)
    } else {
        Err(ProviderError::Unavailable("the reference is not one of Stripe's".into()))
    }
}
