//! Reconciliation: the ledger compared with the provider's report, one slice of time after the other.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL.

use std::time::Duration;

use super::{Error, PaymentService};
use crate::{
    domain::{Category, Difference, MoneyMovement, Slice, compare},
    ports::{Provider, ReconciliationRun},
};

/// When movements are compared.
#[derive(Clone, Copy, Debug)]
pub struct ReconciliationSchedule {
    /// Time between two runs, over all replicas.
    pub every: Duration,
    /// Age from which movements are compared, and a difference is a fault: younger ones may be payments under way.
    pub age: Duration,
}

impl ReconciliationSchedule {
    /// The schedule of a shop.
    pub const SHOP: Self = Self { every: Duration::from_mins(5), age: Duration::from_mins(15) };
}

/// Longest slice that is compared at once; its movements are in memory.
const SLICE_MAX: Duration = Duration::from_mins(5);
/// How far the provider's report reaches beyond a slice: clocks differ, and a capture is recorded after it was made.
const MARGIN: Duration = Duration::from_mins(2);
/// Maximum number of slices of one run; after a long pause, the next runs go on.
const SLICES_MAX: usize = 60;
/// Maximum number of stored differences that one run compares again.
const AGAIN_MAX: u16 = 20;
/// Maximum number of differences in one answer.
const LISTED_MAX: u16 = 500;

impl PaymentService {
    /// Compares what has become old enough since the last run, and stored differences again. Does nothing without a
    /// provider, and if another process did so less than `every` ago. Returns whether it compared.
    pub async fn reconcile(&self, schedule: ReconciliationSchedule) -> Result<bool, Error> {
        let Some(provider) = self.provider.as_deref() else { return Ok(false) };
        let Some(run) = self.store.begin_reconciliation(schedule.every).await? else { return Ok(false) };
        for difference in self.store.differences(AGAIN_MAX).await? {
            let slice = Slice { from: difference.at - MARGIN, before: difference.at + MARGIN };
            self.compare_slice(provider, slice).await?;
        }
        let ReconciliationRun { now, compared_until: mut from } = run;
        let end = now - schedule.age;
        for _ in 0..SLICES_MAX {
            if from >= end {
                break;
            }
            let before = end.min(from + SLICE_MAX);
            self.compare_slice(provider, Slice { from, before }).await?;
            self.store.advance_reconciliation(before).await?;
            from = before;
        }
        log(&self.differences().await?);
        Ok(true)
    }

    /// Counts the stored differences in the metric `payment_unreconciled`, in every process.
    pub async fn count_differences(&self) -> Result<(), Error> {
        let differences = self.differences().await?;
        for category in Category::ALL.into_iter().filter(|category| *category != Category::Matched) {
            let count = differences.iter().filter(|difference| difference.category == category).count();
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            metrics::gauge!("payment_unreconciled", "category" => category.as_str()).set(count as f64);
        }
        Ok(())
    }

    /// Returns the differences that were found and not mended, oldest first.
    pub async fn differences(&self) -> Result<Vec<Difference>, Error> {
        Ok(self.store.differences(LISTED_MAX).await?)
    }

    async fn compare_slice(&self, provider: &dyn Provider, slice: Slice) -> Result<(), Error> {
        let there =
            provider.report(slice.from - MARGIN, slice.before + MARGIN).await.map_err(Error::ProviderUnknown)?;
        let in_slice = there.iter().filter(|movement| slice.contains(movement.at));
        let references: Vec<String> = in_slice.map(|movement: &MoneyMovement| movement.reference.clone()).collect();
        let here = self.store.movements(slice, &references).await?;
        let mut differences = compare(slice, &here, &there);
        differences.retain(|difference| difference.category != Category::Matched);
        Ok(self.store.store_differences(slice, &differences).await?)
    }
}

/// Names each difference in the log.
fn log(differences: &[Difference]) {
    for difference in differences.iter().take(usize::from(AGAIN_MAX)) {
        tracing::error!(
            category = difference.category.as_str(),
            kind = difference.kind.as_str(),
            reference = difference.reference,
            here = difference.here.map(|amount| amount.amount),
            there = difference.there.map(|amount| amount.amount),
            "Ledger and payment provider differ for more than 15 minutes: compare this charge or refund by hand"
        );
    }
}
