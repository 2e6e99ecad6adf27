//! What the service does without being asked: waits for a usable signing key, keeps the first admin as its Secret says,
//! forgets sessions that are long over.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, chain};

use crate::{
    config::FirstAdmin,
    domain::Password,
    tokens::SignedTokens,
    usecases::{Accounts, Ensured},
};

/// Pause between two tries of something that the service waits for: at first, and at most.
const TRY_PAUSE_MIN: Duration = Duration::from_millis(25);
const TRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How often sessions that are over are forgotten, and how many at a time.
const FORGET_INTERVAL: Duration = Duration::from_mins(10);
const FORGET_BATCH: u32 = 1_000;

/// Starts every task.
pub fn start(accounts: &Accounts, tokens: Arc<SignedTokens>, first_admin: Option<FirstAdmin>, process: &Process) {
    until_shutdown(process, "signing-key", await_key(tokens, process.clone()));
    until_shutdown(process, "forget-sessions", forget_sessions(accounts.clone()));
    if let Some(admin) = first_admin {
        until_shutdown(process, "first-admin", keep_admin(accounts.clone(), admin, process.clone()));
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
        tokio::time::sleep(TRY_PAUSE_MAX).await;
    }
    gate.open();
}

/// Ready only with its admin. Whether his password is still the Secret's is seen to a moment later.
async fn keep_admin(accounts: Accounts, admin: FirstAdmin, process: Process) {
    let (gate, dependency) = (process.gate("first-admin"), process.dependency("first-admin"));
    let FirstAdmin { email, password: mut secret } = admin;
    let mut pause = TRY_PAUSE_MIN;
    // To compare his password takes longer than all the rest of the start, and mostly changes nothing.
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
                if ensured != Ensured::AsItWas {
                    tracing::info!(?ensured, "the first admin is as his Secret says");
                }
                gate.open();
                dependency.up();
                pause = TRY_PAUSE_MIN;
                secret.changed().await;
            }
            Err(reason) => {
                gate.close(reason.clone());
                dependency.down(reason);
                tokio::time::sleep(pause).await;
                pause = TRY_PAUSE_MAX.min(pause * 2);
            }
        }
    }
}

async fn forget_sessions(accounts: Accounts) {
    loop {
        tokio::time::sleep(FORGET_INTERVAL).await;
        match accounts.sessions.forget_expired(FORGET_BATCH).await {
            Ok(0) => {}
            Ok(sessions) => tracing::debug!(sessions, "forgot sessions that are over"),
            Err(error) => tracing::warn!(%error, "sessions that are over stay for now"),
        }
    }
}
