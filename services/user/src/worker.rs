//! Background tasks: wait for a usable signing key, create and update the first admin from its Secret, publish revoked sessions,
//! delete expired sessions. Calls use cases and ports only.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Dependency, Gate, Pauses, Process, WatchedSecret, chain};
use agora_vocab::Email;
use tokio::{sync::Notify, time::Instant};

use crate::{
    domain::Password,
    service::{Ensured, PublishError, RevocationPublisher, UserService},
};

/// First and longest wait between two attempts of a task that the service waits for.
const RETRY_MIN: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Interval of the look for requests of a new password that an instance left behind.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(10);

/// Interval of the look for a lost list of revoked sessions, and for sessions that another instance ended and did not publish.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Interval of the publication of all revoked sessions: a replica of Redis that takes over may have lost the latest ones.
const PUBLISH_ALL_INTERVAL: Duration = Duration::from_mins(1);

/// Interval of the deletion of expired sessions.
const DELETE_INTERVAL: Duration = Duration::from_mins(10);

/// Starts all background tasks; each ends when the process shuts down. `first_admin` is an e-mail address and a watched
/// password.
pub fn start(service: &UserService, first_admin: Option<(Email, WatchedSecret)>, process: &Process) {
    // The gates close before the first task runs, so that the process is not ready in between.
    let (signing, gate) = (service.clone(), process.gate("signing-key"));
    until_shutdown(process, "signing-key", move || await_key(signing.clone(), gate.clone()));
    let announcing = service.clone();
    until_shutdown(process, "password-resets", move || announce_resets(announcing.clone()));
    let deleting = service.clone();
    until_shutdown(process, "expired-sessions", move || delete_expired_sessions(deleting.clone()));
    if let Some((email, password)) = first_admin {
        let ensuring = service.clone();
        let (gate, dependency) = (process.gate("first-admin"), process.dependency("first-admin"));
        until_shutdown(process, "first-admin", move || {
            let (email, password) = (email.clone(), password.clone());
            ensure_first_admin(ensuring.clone(), email, password, gate.clone(), dependency.clone())
        });
    }
}

/// Starts the task that publishes revoked sessions: at once when sessions ended here.
pub fn publish_revocations(publisher: RevocationPublisher, sessions_ended: Arc<Notify>, process: &Process) {
    until_shutdown(process, "revocations", move || publish(publisher.clone(), sessions_ended.clone()));
}

/// Supervises a task that does not watch the shutdown of the process itself.
fn until_shutdown<F>(process: &Process, name: &'static str, mut start: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let shutdown = process.shutdown();
    process.supervise(name, move || {
        let (task, shutdown) = (start(), shutdown.clone());
        async move { shutdown.run_until_cancelled(task).await.unwrap_or(Ok(())) }
    });
}

async fn await_key(service: UserService, gate: Gate) -> anyhow::Result<()> {
    while let Err(error) = service.tokens.check() {
        gate.close(error.to_string());
        tokio::time::sleep(RETRY_MAX).await;
    }
    gate.open();
    Ok(())
}

/// The readiness gate opens once the admin exists. Comparing the password with the Secret follows after that.
async fn ensure_first_admin(
    service: UserService,
    email: Email,
    mut secret: WatchedSecret,
    gate: Gate,
    dependency: Dependency,
) -> anyhow::Result<()> {
    let mut pauses = Pauses::new(RETRY_MIN, RETRY_MAX);
    // Comparing the password takes longer than the rest of the start and rarely changes anything.
    if matches!(service.has_admin(&email).await, Ok(true)) {
        gate.open();
    }
    loop {
        let ensured = match Password::parse(secret.current().expose()) {
            Ok(password) => service.ensure_admin(&email, &password).await.map_err(|error| chain(&error)),
            Err(invalid) => Err(format!("ADMIN_PASSWORD {}", invalid.message)),
        };
        match ensured {
            Ok(ensured) => {
                if ensured != Ensured::Unchanged {
                    tracing::info!(?ensured, "the first admin matches its Secret");
                }
                gate.open();
                dependency.up();
                pauses.reset();
                secret.changed().await;
            }
            Err(reason) => {
                gate.close(reason.clone());
                dependency.down(reason);
                tokio::time::sleep(pauses.pause()).await;
            }
        }
    }
}

/// Requests the mails of new requests as they come; those of an instance that ended are found by looking now and then.
async fn announce_resets(service: UserService) -> anyhow::Result<()> {
    loop {
        if let Err(error) = service.announce_resets().await {
            tracing::warn!(error = chain(&error), "mails to set a new password are late; retrying");
        }
        tokio::select! {
            () = service.reset_requested.notified() => {}
            () = tokio::time::sleep(ANNOUNCE_INTERVAL) => {}
        }
    }
}

/// Publishes revoked sessions without end, whatever fails: what was not published is retried after a second.
pub async fn publish(revoked: RevocationPublisher, sessions_ended: Arc<Notify>) -> anyhow::Result<()> {
    let (mut all_at, mut fails): (Option<Instant>, bool) = (None, false);
    loop {
        let published = if all_at.is_none_or(|at| at.elapsed() >= PUBLISH_ALL_INTERVAL) {
            let published = publish_all(&revoked).await;
            all_at = published.is_ok().then(Instant::now);
            published
        } else {
            revoked.publish_new().await
        };
        // Once, not every second; readiness lists what is away.
        match published {
            Err(error) if !fails => {
                tracing::warn!(error = chain(&error), "revoked sessions are published late; retrying");
                fails = true;
            }
            Ok(()) => fails = false,
            Err(_) => {}
        }
        tokio::select! {
            () = sessions_ended.notified() => {}
            () = tokio::time::sleep(PUBLISH_INTERVAL) => {}
        }
    }
}

async fn publish_all(publisher: &RevocationPublisher) -> Result<(), PublishError> {
    publisher.publish_all().await?;
    publisher.delete_old().await
}

async fn delete_expired_sessions(service: UserService) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(DELETE_INTERVAL).await;
        if let Err(error) = service.resets.delete_old().await {
            tracing::warn!(error = chain(&error), "could not delete old password resets; retrying later");
        }
        if let Err(error) = service.email_changes.delete_expired().await {
            tracing::warn!(
                error = chain(&error),
                "could not delete expired changes of e-mail addresses; retrying later"
            );
        }
        if let Some(staff) = &service.staff
            && let Err(error) = staff.accounts.delete_expired_logins().await
        {
            tracing::warn!(error = chain(&error), "could not delete expired logins of the staff; retrying later");
        }
        match service.delete_expired_sessions().await {
            Ok(0) => {}
            Ok(sessions) => tracing::debug!(sessions, "deleted expired sessions"),
            Err(error) => tracing::warn!(error = chain(&error), "could not delete expired sessions; retrying later"),
        }
    }
}
