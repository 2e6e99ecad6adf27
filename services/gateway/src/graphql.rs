//! The GraphQL API: its schema, what a request may cost, and the calls of the services for it. Must not depend on HTTP requests
//! or on routes of the gateway.

mod caller;
mod cost;
mod execution;
mod fault;
mod limits;
mod loaders;
mod mutations;
mod persisted;
mod queries;
mod scalars;
mod schema;
mod subscriptions;
mod types;

pub use execution::{Executed, GraphQl, Operation, Settings};
pub use persisted::{ListFault, PersistedDocuments, sha256};
pub use schema::sdl;
pub use subscriptions::{Feed, Operations};
