//! How a cluster is started: flags over the configuration.

use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::files::{WRITTEN, read_text};
use aegis_sandbox::{Options, serve::Topology};
use clap::Args;

use crate::context::Context;
use crate::view::failure::Failure;

/// How it is started; what is not given is as the configuration says.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// Let pods that ask for it run their commands as processes of this machine, as you.
    #[arg(long)]
    allow_processes: bool,
    /// How fast its time runs; 1 is real time.
    #[arg(long, value_name = "FACTOR", value_parser = faster)]
    time_scale: Option<f64>,
    /// Where names and uids come from: the same requests then make the same ones.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Nodes, zones and versions from a TOML or JSON file. This and what follows counts when the cluster is new.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// How many nodes for workloads.
    #[arg(long, value_name = "COUNT")]
    workers: Option<u16>,
    /// How many nodes of the control plane.
    #[arg(long, value_name = "COUNT")]
    control_planes: Option<u16>,
    /// The region all nodes are in.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// The zones nodes are put into in turn, with commas between.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    zones: Option<Vec<String>>,
    /// The version the nodes' kubelets report.
    #[arg(long, value_name = "VERSION")]
    node_version: Option<String>,
}

impl Start {
    pub(super) fn options(&self, context: &Context, target: &str) -> Result<Options, Failure> {
        let configured = context.sandbox_options(target);
        Ok(Options {
            topology: self.topology(configured.topology)?,
            allow_processes: self.allow_processes || configured.allow_processes,
            time_scale: self.time_scale.unwrap_or(configured.time_scale),
            seed: self.seed.or(configured.seed),
            ..configured
        })
    }

    fn topology(&self, configured: Topology) -> Result<Topology, Failure> {
        let base = self.topology.as_deref().map_or(Ok(configured), read)?;
        Ok(Topology {
            workers: self.workers.unwrap_or(base.workers),
            control_planes: self.control_planes.unwrap_or(base.control_planes),
            region: self.region.clone().unwrap_or(base.region),
            zones: self.zones.clone().unwrap_or(base.zones),
            version: self.node_version.clone().unwrap_or(base.version),
            ..base
        })
    }

    /// The same as words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let given = [
            ("--time-scale", self.time_scale.map(|factor| factor.to_string())),
            ("--seed", self.seed.map(|seed| seed.to_string())),
            ("--topology", self.topology.as_ref().map(|file| file.display().to_string())),
            ("--workers", self.workers.map(|count| count.to_string())),
            ("--control-planes", self.control_planes.map(|count| count.to_string())),
            ("--region", self.region.clone()),
            ("--zones", self.zones.as_ref().map(|zones| zones.join(","))),
            ("--node-version", self.node_version.clone()),
        ];
        let allow = self.allow_processes.then(|| "--allow-processes".to_owned());
        let given = given.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?]));
        given.flatten().chain(allow).collect()
    }
}

/// Reads a topology; what a file does not say is as ever.
fn read(file: &Path) -> Result<Topology, Failure> {
    let wrong = |problem: String| {
        let told = format!("`{}` is no topology: {problem}", file.display());
        CallError::new(codes::CONFIG, told).hint("keys are those of `[sandbox.topology]` in aegis.toml")
    };
    let text = read_text(file, WRITTEN).map_err(|error| wrong(error.to_string()))?;
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let topology = match is_json {
        true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string())),
        false => toml::from_str(&text).map_err(|error| wrong(error.message().to_owned())),
    };
    Ok(topology?)
}

/// A speed: more than nothing, and no more than a day in a second.
fn faster(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    match factor.is_finite() && factor > 0.0 && factor <= 86_400.0 {
        true => Ok(factor),
        false => Err("it is above 0 and at most 86400".to_owned()),
    }
}
