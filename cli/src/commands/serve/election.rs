//! Which engine decides on instants, where `[serve.lease]` has them elect one: the scheduler asks, the Lease answers.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_sandbox::serve::Sandbox;
use aegis_scheduler::service::{self, Everybody};
use aegis_stdlib::k8s::{Candidate, Election};

use crate::context::Context;
use crate::view::failure::Failure;

/// The Lease of a cluster.
struct Lease {
    context: Arc<Context>,
    election: Election,
    _sandbox: Option<Sandbox>,
}

/// Whom the scheduler asks.
///
/// # Errors
/// When the cluster is not known, or engines share no database: then there is nobody to elect from.
pub(super) fn of(context: &Arc<Context>, engine: &str) -> Result<Arc<dyn service::Election>, Failure> {
    let config = &context.settings.config;
    let Some(lease) = &config.serve.lease else { return Ok(Arc::new(Everybody)) };
    if config.database.url.open().is_empty() {
        let problem = "`serve.lease` elects one of several engines, and this one shares its state with none";
        return Err(CallError::new(codes::CONFIG, problem)
            .hint("name the PostgreSQL that they share below `[database]`, or leave the lease out")
            .into());
    }
    let (cluster, sandbox) = context.cluster(&lease.cluster)?;
    let candidate =
        Candidate { namespace: lease.namespace.clone(), lease: lease.name.clone(), name: engine.to_owned() };
    let election = context.runtime.block_on(Election::start(cluster, candidate))?;
    Ok(Arc::new(Lease { context: Arc::clone(context), election, _sandbox: sandbox }))
}

impl service::Election for Lease {
    fn leader(&self) -> Option<String> {
        self.election.leader()
    }

    fn works(&self) {
        self.election.works();
    }

    fn resign(&self) {
        self.context.runtime.block_on(self.election.resign());
    }
}

impl Debug for Lease {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("leader", &self.election.leader()).finish_non_exhaustive()
    }
}
