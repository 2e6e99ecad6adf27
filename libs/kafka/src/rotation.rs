//! Rotation of the password or certificate authority while clients run.
//!
//! Must not depend on the clients that are replaced.

use std::time::Duration;

use rdkafka::{admin::AdminClient, error::KafkaError};

use crate::{Config, error_log::ErrorLog};

/// Time for the broker to accept the new credentials.
const PROOF_MAX: Duration = Duration::from_secs(5);
const PROOF_INTERVAL: Duration = Duration::from_secs(5);

impl Config {
    /// Waits until the password or the certificate authorities differ from this copy of the settings and the broker accepts
    /// the new ones, so that a working client is never replaced by one that fails. Never returns without either setting.
    pub async fn login_changed(&mut self) {
        self.changed().await;
        while let Err(error) = self.accepted().await {
            tracing::warn!(%error, "the broker rejects the new credentials or certificate authority; keeping the old client");
            tokio::time::sleep(PROOF_INTERVAL).await;
        }
    }

    async fn accepted(&self) -> Result<(), KafkaError> {
        let settings = self.client();
        let asked = tokio::task::spawn_blocking(move || {
            let client: AdminClient<ErrorLog> = settings.create_with_context(ErrorLog::default())?;
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
