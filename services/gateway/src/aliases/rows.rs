//! What a row of the table is, and how one is written.

use agora_web::Problem;
use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::{s0, s1, s3, s4, seen::Seen};

/// A document that a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Node/Fastify, with the code of uMarketplace.
    S0,
    /// Node/Express behind a gateway.
    S1,
    /// Node/Express/TypeScript; its REST services lie below `/s3`.
    S3,
    /// The reference architecture.
    S4,
}

/// One path of one or more documents.
#[derive(Clone, Debug)]
pub struct Alias {
    /// Where it comes from.
    pub documents: &'static [Document],
    /// The method.
    pub method: Method,
    /// The path, with placeholders.
    pub path: &'static str,
    /// What is called for it, one after the other; the first that is refused is the answer.
    pub(super) steps: Vec<Step>,
    /// The status of success, where it is not the last call's.
    pub(super) status: Option<StatusCode>,
    /// The body of the answer.
    pub(super) shape: fn(&Seen) -> Value,
}

/// Makes a call's body of what was seen so far, or refuses what no service could make sense of.
pub(super) type Make = fn(&Seen) -> Result<Value, Problem>;

/// One call of `/api/v1`.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub service: &'static str,
    pub method: Method,
    /// The path below `/api/v1`; placeholders are filled in from the alias's.
    pub path: &'static str,
    pub query: Query,
    /// The body, where it has one.
    pub body: Option<Make>,
    /// Whether the command must have an `Idempotency-Key`.
    pub needs_key: bool,
    /// Whether the alias's path names a user who must be the caller.
    pub only_own: bool,
}

/// What of the alias's query goes into the call's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Query {
    /// Nothing.
    Dropped,
    /// `limit`, cut to what a page may hold, `offset`, and these.
    Page { limit: u16, others: &'static [&'static str] },
}

/// Every alias.
pub fn table() -> Vec<Alias> {
    [s0::rows(), s1::rows(), s3::rows(), s4::rows()].concat()
}

/// Begins a row.
pub(super) fn alias(documents: &'static [Document], method: Method, path: &'static str) -> Alias {
    Alias { documents, method, path, steps: Vec::new(), status: None, shape: |seen| seen.last().clone() }
}

impl Alias {
    /// Calls a service.
    pub(super) fn calls(mut self, service: &'static str, method: Method, path: &'static str) -> Self {
        self.steps.push(Step {
            service,
            method,
            path,
            query: Query::Dropped,
            body: None,
            needs_key: false,
            only_own: false,
        });
        self
    }

    /// The last call has a body.
    pub(super) fn sends(mut self, body: Make) -> Self {
        self.last_step(|step| step.body = Some(body));
        self
    }

    /// The last call is a command that must have an `Idempotency-Key`.
    pub(super) fn keyed(mut self) -> Self {
        self.last_step(|step| step.needs_key = true);
        self
    }

    /// The last call is of the caller's own things: the `id` in the path must be his.
    pub(super) fn only_own(mut self) -> Self {
        self.last_step(|step| step.only_own = true);
        self
    }

    /// The last call is given a page of `limit` items unless asked otherwise, and these parts of the query.
    pub(super) fn paged(mut self, limit: u16, others: &'static [&'static str]) -> Self {
        self.last_step(|step| step.query = Query::Page { limit, others });
        self
    }

    /// What the answer's body is.
    pub(super) fn answers(self, shape: fn(&Seen) -> Value) -> Self {
        Self { shape, ..self }
    }

    /// What the status of success is.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    fn last_step(&mut self, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.last_mut() {
            change(step);
        }
    }
}
