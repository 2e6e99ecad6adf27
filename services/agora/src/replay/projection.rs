//! The projection of the recommendation service as the target of a replay. Each row has a version, so that an event changes
//! nothing that is newer, whatever its age.

use std::time::Duration;

use agora_chassis::{BoxError, Pauses, Process, chain, settings};
use agora_events::Envelope;
use agora_outbox::Failure;
use agora_recommendation::{consumer, service::RecommendationService};
use anyhow::anyhow;

/// First and longest pause while the database is unavailable, and the number of attempts.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: u32 = 10;

/// The projection of the recommendation service.
pub struct RecommendationProjection(RecommendationService);

impl RecommendationProjection {
    /// Opens the database of the service's settings.
    pub async fn open(process: &Process) -> anyhow::Result<Self> {
        let config = settings(process.service(), agora_recommendation::Config::read)?;
        let (_, _, service) = agora_recommendation::use_cases(&config, process).await;
        Ok(Self(service))
    }

    /// Applies events as the consumer does. Returns how many were rejected for good, which changed nothing.
    pub async fn apply(&self, envelopes: Vec<Envelope>) -> anyhow::Result<usize> {
        match self.attempt(&envelopes).await {
            Ok(()) => return Ok(0),
            Err(Failure::Again(error)) => return Err(unavailable(error)),
            Err(Failure::Defect(_) | Failure::Poison(_)) => {}
        }
        let mut rejected = 0;
        for envelope in &envelopes {
            match self.attempt(std::slice::from_ref(envelope)).await {
                Ok(()) => {}
                Err(Failure::Again(error)) => return Err(unavailable(error)),
                Err(failure @ (Failure::Defect(_) | Failure::Poison(_))) => {
                    eprintln!("event {} of type {} is skipped: {}", envelope.id, envelope.kind, chain(&failure));
                    rejected += 1;
                }
            }
        }
        Ok(rejected)
    }

    /// Waits while the database is unavailable, for about half a minute.
    async fn attempt(&self, envelopes: &[Envelope]) -> Result<(), Failure> {
        let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
        for _ in 1..ATTEMPTS_MAX {
            match consumer::handle(self.0.clone(), envelopes.to_vec()).await {
                Err(Failure::Again(_)) => tokio::time::sleep(pauses.pause()).await,
                result => return result,
            }
        }
        consumer::handle(self.0.clone(), envelopes.to_vec()).await
    }
}

fn unavailable(error: BoxError) -> anyhow::Error {
    anyhow!(error).context("the database of the projection is unavailable; it is safe to replay the events again")
}
