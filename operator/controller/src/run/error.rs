//! The errors of a reconciliation.

use crate::cluster::observe::ObserveError;
use crate::run::finalize::FinalizeError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the state of the cluster")]
    Observe(#[from] ObserveError),
    #[error("cannot delete the Marketplace's resources")]
    Finalize(#[from] FinalizeError),
    #[error("cannot write {what} of the Marketplace")]
    Write { what: &'static str, source: kube::Error },
}
