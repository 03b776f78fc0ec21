//! `aegis sandbox reach`: whether NetworkPolicies let one pod reach another.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_sandbox::reach::{World, reach};
use clap::Args;

use super::list;
use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(super) struct Reach {
    /// Who calls: `[NAMESPACE/]NAME` of a pod, or of a Service for a pod behind it.
    #[arg(value_name = "FROM")]
    from: String,
    /// Who is called: the same with `:PORT`, a number or a name.
    #[arg(value_name = "TO:PORT")]
    to: String,
}

impl Reach {
    /// Ends with 0 when the connection is possible, with 7 when it is not.
    pub(super) fn run(&self, context: &Context, target: &str) -> Result<Exit, Failure> {
        let cluster = context.sandbox(target)?;
        let world = World {
            pods: list(context, &cluster, "/api/v1/pods")?,
            namespaces: list(context, &cluster, "/api/v1/namespaces")?,
            services: list(context, &cluster, "/api/v1/services")?,
            policies: list(context, &cluster, "/apis/networking.k8s.io/v1/networkpolicies")?,
        };
        let verdict = reach(&world, &self.from, &self.to)
            .map_err(|problem| CallError::new(codes::NOT_FOUND, problem))?;
        if context.global.json() {
            table::json(&verdict);
        } else {
            let answer = if verdict.allowed { "yes" } else { "no" };
            table::text(&format!("{answer}: {} -> {}", verdict.from, verdict.to));
            verdict.reasons.iter().for_each(|reason| table::text(&format!("  {reason}")));
        }
        Ok(if verdict.allowed { Exit::Ok } else { Exit::Checks })
    }
}
