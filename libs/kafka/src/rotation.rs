//! A login or authority that changes while clients use it: followed once the broker accepts it.
//!
//! Knows which settings may change; must not know the clients that have to be replaced then.

use std::time::Duration;

use rdkafka::{admin::AdminClient, error::KafkaError};

use crate::{Config, trouble::Trouble};

/// How long the broker may take to let a new login in.
const PROOF_MAX: Duration = Duration::from_secs(5);
const PROOFS_APART: Duration = Duration::from_secs(5);

impl Config {
    /// Waits until the password or the authorities differ from what they were when this copy of the settings was made and
    /// the broker accepts them as they are now: a client that works is not given up for one that does not. For ever without
    /// either.
    pub async fn login_changed(&mut self) {
        self.changed().await;
        while let Err(error) = self.accepted().await {
            tracing::warn!(%error, "the broker does not accept the new login or authority yet; the old client stays");
            tokio::time::sleep(PROOFS_APART).await;
        }
    }

    async fn accepted(&self) -> Result<(), KafkaError> {
        let settings = self.client();
        let asked = tokio::task::spawn_blocking(move || {
            let client: AdminClient<Trouble> = settings.create_with_context(Trouble::default())?;
            client.inner().fetch_metadata(None, PROOF_MAX).map(drop)
        });
        asked.await.unwrap_or(Err(KafkaError::Canceled))
    }

    async fn changed(&mut self) {
        let password = async {
            match &mut self.login {
                Some(login) => drop(login.password.changed().await),
                None => std::future::pending().await,
            }
        };
        let authorities = async {
            match &mut self.ca {
                Some(ca) => drop(ca.changed().await),
                None => std::future::pending().await,
            }
        };
        futures::future::select(std::pin::pin!(password), std::pin::pin!(authorities)).await;
    }
}
