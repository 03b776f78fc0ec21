//! `aegis sandbox`: the embedded Kubernetes cluster as a process of its own, for kubectl, helm and runs to
//! share, and questions about it. Runs need none of this: each takes part in the cluster by itself.
//!
//! | file | verbs |
//! |---|---|
//! | `serving`, `start` | `up`, `down`, `serve`, `reset`, `kubeconfig`, and their flags |
//! | `status` | how it looks |
//! | `fault` | what goes wrong on purpose |
//! | `kubectl` | the real kubectl against it |
//! | `play` | scenarios: what is done when, and what came of it |
//! | `reach` | who reaches whom |

mod fault;
mod kubectl;
mod play;
mod reach;
mod serving;
mod start;
mod status;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_sandbox::Sandbox as Cluster;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    #[command(subcommand)]
    verb: Verb,
    /// The sandbox target; `sandbox:NAME` is a cluster of its own.
    #[arg(long, short = 't', global = true, value_name = "NAME", default_value = "sandbox")]
    target: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start it in the background.
    Up(start::Start),
    /// End the one in the background; the cluster stays as it is on disk.
    Down,
    /// Show how it looks: nodes by zone, workloads, faults, webhooks.
    Status,
    /// Forget everything in it.
    Reset,
    /// Print a kubeconfig for it.
    Kubeconfig,
    /// Serve it in the foreground until interrupted.
    Serve(start::Start),
    /// Run kubectl against it.
    Kubectl(kubectl::Kubectl),
    /// Make things go wrong on purpose, and right again.
    Fault(fault::Fault),
    /// Play a scenario in a cluster of its own, which is gone afterwards: the same file has the same outcome.
    Play(play::Play),
    /// Ask whether NetworkPolicies let one pod reach another.
    Reach(reach::Reach),
}

impl Sandbox {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        let target = context.settings.config.target(&self.target)?;
        if !target.sandbox {
            let problem = format!("target `{}` is no sandbox", self.target);
            return Err(CallError::new(codes::NO_TARGET, problem).hint("see `aegis targets`").into());
        }
        let folder = context.sandbox_folder(&self.target);
        match self.verb {
            Verb::Up(start) => serving::up(&context, &folder, &self.target, &start),
            Verb::Down => serving::down(&context, &folder),
            Verb::Status => status::show(&context, &self.target),
            Verb::Reset => serving::reset(&context, &folder),
            Verb::Kubeconfig => serving::kubeconfig(&context, &folder, &self.target),
            Verb::Serve(start) => serving::serve(&context, &folder, start.options(&context, &self.target)?),
            Verb::Kubectl(kubectl) => kubectl.run(&context, &self.target),
            Verb::Fault(fault) => fault.run(&context, &self.target),
            Verb::Play(play) => play.run(&context),
            Verb::Reach(reach) => reach.run(&context, &self.target),
        }
    }
}

/// Asks the cluster; a refusal becomes an error with what it said.
fn ask(
    context: &Context,
    cluster: &Cluster,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let answer = context.runtime.block_on(cluster.ask(method, path, body));
    let (code, body) = answer.map_err(|error| serving::broken(&error))?;
    if code < 300 {
        return Ok(body);
    }
    let said = body["message"].as_str().map_or_else(|| format!("code {code}"), str::to_owned);
    let code = match code {
        404 => codes::NOT_FOUND,
        409 => codes::CONFLICT,
        400 | 422 => codes::INVALID,
        _ => codes::API,
    };
    Err(CallError::new(code, said).into())
}

/// The objects of a kind, in all namespaces.
fn list(context: &Context, cluster: &Cluster, path: &str) -> Result<Vec<Value>, Failure> {
    let list = ask(context, cluster, "GET", path, None)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}
