//! The inspection of the services: what they report of themselves. There is nothing to correct.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use super::resource::{External, Inspection};
use crate::decide::desired::external::DesiredProbes;
use crate::decide::observed::{Evidence, ServicesObservation};
use crate::external::ports::{ServiceProbe, with_source};

/// Delay before the second attempt, after which a service counts as silent.
const SECOND_ATTEMPT_DELAY: Duration = Duration::from_millis(500);

pub struct Services {
    probe: Arc<dyn ServiceProbe>,
    answered: Mutex<BTreeSet<&'static str>>,
}

impl Services {
    pub fn new(probe: Arc<dyn ServiceProbe>) -> Self {
        Self { probe, answered: Mutex::default() }
    }

    async fn evidence(&self, service: &'static str, url: &str) -> Evidence {
        let mut report = self.probe.degraded(url).await;
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner).contains(service);
        if report.is_err() && answered {
            tokio::time::sleep(SECOND_ATTEMPT_DELAY).await;
            report = self.probe.degraded(url).await;
        }
        match report {
            Ok(degraded) => {
                self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(service);
                Evidence::Reported(degraded)
            }
            Err(error) if answered => Evidence::Silent(with_source(&error)),
            Err(_) => Evidence::NeverAnswered,
        }
    }
}

#[async_trait]
impl External for Services {
    type Desired = DesiredProbes;
    type Observation = ServicesObservation;

    const INTERVAL_SECONDS: u64 = 12;

    async fn reconcile(&self, desired: &DesiredProbes, _initial: bool) -> Inspection<ServicesObservation> {
        let probes =
            desired.urls.iter().map(async |(service, url)| ((*service).to_owned(), self.evidence(service, url).await));
        let services: BTreeMap<String, Evidence> = join_all(probes).await.into_iter().collect();
        // A service that is not as it should be is read again soon, so that the report of its recovery is not late.
        let settled = |evidence: &Evidence| match evidence {
            Evidence::NeverAnswered => true,
            Evidence::Silent(_) => false,
            Evidence::Reported(degraded) => degraded.is_empty(),
        };
        let succeeded = services.values().all(settled);
        Inspection { observation: ServicesObservation { services }, succeeded, awaited: false, corrections: Vec::new() }
    }

    fn overdue(&self, _desired: &DesiredProbes, _seconds: u64) -> ServicesObservation {
        ServicesObservation::default()
    }
}
