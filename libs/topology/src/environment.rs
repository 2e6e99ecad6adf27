//! Names of environment variables: those that several services read, and all of one service.

use crate::Service;

/// Environment names that every service reads.
pub const ENV_OF_ALL: &[&str] = &[
    "PORT",
    "ADMIN_PORT",
    "JWKS_FILE",
    "TOKEN_ISSUER",
    "TOKEN_AUDIENCE",
    // Each refuses tokens of revoked sessions, whose list is there.
    "REDIS_URL",
    "REDIS_PASSWORD",
    "ISOLATION_KEY",
];
/// Environment names of a service with an internal port or with callees.
pub const ENV_INTERNAL: &[&str] = &["INTERNAL_SECRET"];
/// Environment names of a service with a database.
pub const ENV_DATABASE: &[&str] = &[
    "DATABASE_URL",
    "DATABASE_POOL_SIZE",
    "DATABASE_CA_FILE",
    "DATABASE_STATEMENT_TIMEOUT_SECONDS",
    "DATABASE_WORK_MEM_MIB",
    "RECOVERY_EPOCH",
];
/// Environment names of a service that speaks to the broker.
pub const ENV_KAFKA: &[&str] = &[
    "KAFKA_BROKERS",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_USERNAME",
    "KAFKA_PASSWORD",
    "KAFKA_CA_FILE",
    "ISOLATION_KEY",
];

impl Service {
    /// Whether it reads this environment name.
    pub fn reads(&self, name: &str) -> bool {
        self.environment().contains(&name)
    }

    /// Every environment name that it reads, without those of its process (logs, traces).
    pub fn environment(&self) -> Vec<&'static str> {
        let groups: [(bool, &[&'static str]); 5] = [
            (true, ENV_OF_ALL),
            (self.internal_port.is_some(), &["INTERNAL_PORT"]),
            (self.internal(), ENV_INTERNAL),
            (self.database, ENV_DATABASE),
            (self.speaks_to_broker(), ENV_KAFKA),
        ];
        let groups = groups.into_iter().filter(|(needed, _)| *needed).flat_map(|(_, names)| names.iter().copied());
        let mut names = Vec::new();
        for name in groups.chain(self.env.iter().copied()) {
            // Topics and keys of Redis share the isolation key.
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
