//! The end of a move to another database server: the logins on the former one are locked and their sessions ended, once the
//! services use the new one. What they would write to the former server later would be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agora_crd::{FormerServer, USABLE_FOR};
use tokio::time::Instant;

use crate::decide::correction::{Correction, Severity};
use crate::decide::desired::external::{DesiredDatabases, FormerDatabases};
use crate::decide::servers::{AdminDatabase, ObservedServer};
use crate::external::ports::{DatabaseAdmin, with_source};

/// Time after which the logins are locked although not every service has a session at the new server: some may have no pods.
const USE_MAX: Duration = Duration::from_mins(5);
/// Attempts to lock the logins of a server that does not answer: a server may have been moved for its failure.
const ATTEMPTS_MAX: u32 = 10;

pub struct FormerServers {
    admin: Arc<dyn DatabaseAdmin>,
    progress: Mutex<BTreeMap<FormerServer, Progress>>,
}

/// What was done about one server.
#[derive(Clone, Copy)]
struct Progress {
    since: Instant,
    attempts: u32,
    /// Whether an event says that its logins are open.
    told: bool,
}

/// The former servers after an inspection.
pub struct Release {
    /// Those with open logins.
    pub left: BTreeSet<FormerServer>,
    /// Whether the next inspection should not wait for the usual interval.
    pub awaited: bool,
    pub corrections: Vec<Correction>,
}

/// The result for one server.
enum Step {
    Wait,
    Locked,
    /// Why the logins are open.
    Open(String),
    GivenUp(String),
}

impl FormerServers {
    pub fn new(admin: Arc<dyn DatabaseAdmin>) -> Self {
        Self { admin, progress: Mutex::default() }
    }

    /// `current` is the state of the server that the services are to use.
    pub async fn release(
        &self,
        desired: &DesiredDatabases,
        known: &BTreeSet<FormerServer>,
        current: &ObservedServer,
    ) -> Release {
        let mut release = Release { left: BTreeSet::new(), awaited: false, corrections: Vec::new() };
        for server in known {
            let told = self.progress(server).told;
            let step = self.step(desired, server, current).await;
            match &step {
                Step::Wait => release.awaited = true,
                Step::Locked => release.corrections.push(locked(desired, server)),
                Step::Open(why) if !told => release.corrections.push(open(desired, server, why)),
                Step::GivenUp(why) => release.corrections.push(open(desired, server, why)),
                Step::Open(_) => {}
            }
            self.update(server, |progress| progress.told |= matches!(step, Step::Open(_)));
            if matches!(step, Step::Wait | Step::Open(_)) {
                release.left.insert(server.clone());
            } else {
                self.progress.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
            }
        }
        release
    }

    async fn step(&self, desired: &DesiredDatabases, server: &FormerServer, current: &ObservedServer) -> Step {
        let Some(former) = desired.former.iter().find(|former| former.server == *server) else {
            // The desired state is of before the move.
            return Step::Wait;
        };
        if !is_in_use(desired, current) && self.progress(server).since.elapsed() < USE_MAX {
            return Step::Wait;
        }
        let Some(admin) = &former.admin else {
            return Step::Open(format!(
                "the admin's Secret may not be used there: add database={} to its annotation {USABLE_FOR}",
                server.address
            ));
        };
        let Err(why) = self.lock(former, admin).await else {
            return Step::Locked;
        };
        let attempts = self.update(server, |progress| progress.attempts += 1).attempts;
        if attempts < ATTEMPTS_MAX { Step::Open(why) } else { Step::GivenUp(why) }
    }

    async fn lock(&self, former: &FormerDatabases, admin: &AdminDatabase) -> Result<(), String> {
        let failed = |error| with_source(&error);
        let seen = self.admin.inspect(admin, &former.databases).await.map_err(failed)?;
        let identity = seen.system_identifier.as_ref().unwrap_or(&former.server.address);
        if *identity != former.server.identifier {
            return Err(format!("another server with the identity {identity} answers there"));
        }
        for database in &former.databases {
            self.admin.lock(admin, database).await.map_err(failed)?;
        }
        Ok(())
    }

    fn progress(&self, server: &FormerServer) -> Progress {
        self.update(server, |_| {})
    }

    fn update(&self, server: &FormerServer, change: impl FnOnce(&mut Progress)) -> Progress {
        let mut all = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = all.entry(server.clone());
        let progress = progress.or_insert_with(|| Progress { since: Instant::now(), attempts: 0, told: false });
        change(progress);
        *progress
    }
}

/// Whether every service with pods has a session at the server.
fn is_in_use(desired: &DesiredDatabases, current: &ObservedServer) -> bool {
    desired.databases.iter().all(|database| {
        let sessions = current.databases.get(&database.name).map_or(0, |observed| observed.sessions);
        database.reserved_connections == 0 || sessions > 0
    })
}

fn locked(desired: &DesiredDatabases, server: &FormerServer) -> Correction {
    let note = format!(
        "Locked the services' logins on the former database server {} and ended their sessions: the services use {}; the \
         databases there stay",
        server.address,
        desired.address()
    );
    Correction::external("DatabaseServer", &server.identifier, None, Severity::Released, note)
}

fn open(desired: &DesiredDatabases, server: &FormerServer, why: &str) -> Correction {
    let logins: Vec<&str> = desired.databases.iter().map(|database| database.login.as_str()).collect();
    let note = format!(
        "The services' logins on the former database server {} are open, although the services use {} ({why}); to lock them by \
         hand, execute alter role … nologin there for {}",
        server.address,
        desired.address(),
        logins.join(", ")
    );
    Correction::external("DatabaseServer", &server.identifier, None, Severity::LeftOpen, note)
}
