//! Background tasks: wait for a usable signing key, create and update the first admin from its Secret, delete expired
//! sessions.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, chain};

use crate::{
    config::FirstAdmin,
    crypto::SignedTokens,
    domain::Password,
    service::{Ensured, UserService},
};

/// First and longest wait between two attempts of a task that the service waits for.
const RETRY_MIN: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Interval and batch size of the deletion of expired sessions.
const DELETE_INTERVAL: Duration = Duration::from_mins(10);
const DELETE_BATCH: u32 = 1_000;

/// Starts all background tasks; each ends when the process shuts down.
pub fn start(accounts: &UserService, tokens: Arc<SignedTokens>, first_admin: Option<FirstAdmin>, process: &Process) {
    until_shutdown(process, "signing-key", await_key(tokens, process.clone()));
    until_shutdown(process, "expired-sessions", delete_expired_sessions(accounts.clone()));
    if let Some(admin) = first_admin {
        until_shutdown(process, "first-admin", ensure_first_admin(accounts.clone(), admin, process.clone()));
    }
}

fn until_shutdown(process: &Process, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    let shutdown = process.shutdown();
    process.spawn(name, async move {
        shutdown.run_until_cancelled(task).await;
        Ok(())
    });
}

async fn await_key(tokens: Arc<SignedTokens>, process: Process) {
    let gate = process.gate("signing-key");
    while let Err(error) = tokens.check() {
        gate.close(error.to_string());
        tokio::time::sleep(RETRY_MAX).await;
    }
    gate.open();
}

/// The readiness gate opens once the admin exists. Comparing the password with the Secret follows after that.
async fn ensure_first_admin(accounts: UserService, admin: FirstAdmin, process: Process) {
    let (gate, dependency) = (process.gate("first-admin"), process.dependency("first-admin"));
    let FirstAdmin { email, password: mut secret } = admin;
    let mut pause = RETRY_MIN;
    // Comparing the password takes longer than the rest of the start and rarely changes anything.
    if matches!(accounts.has_admin(&email).await, Ok(true)) {
        gate.open();
    }
    loop {
        let ensured = match Password::parse(secret.current().expose().to_owned()) {
            Ok(password) => accounts.ensure_admin(&email, &password).await.map_err(|error| chain(&error)),
            Err(invalid) => Err(format!("ADMIN_PASSWORD {}", invalid.message)),
        };
        match ensured {
            Ok(ensured) => {
                if ensured != Ensured::Unchanged {
                    tracing::info!(?ensured, "the first admin matches its Secret");
                }
                gate.open();
                dependency.up();
                pause = RETRY_MIN;
                secret.changed().await;
            }
            Err(reason) => {
                gate.close(reason.clone());
                dependency.down(reason);
                tokio::time::sleep(pause).await;
                pause = RETRY_MAX.min(pause * 2);
            }
        }
    }
}

async fn delete_expired_sessions(accounts: UserService) {
    loop {
        tokio::time::sleep(DELETE_INTERVAL).await;
        match accounts.sessions.delete_expired(DELETE_BATCH).await {
            Ok(0) => {}
            Ok(sessions) => tracing::debug!(sessions, "deleted expired sessions"),
            Err(error) => tracing::warn!(%error, "expired sessions are not deleted"),
        }
    }
}
