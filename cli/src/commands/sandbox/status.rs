//! `aegis sandbox status`: how the cluster looks.

use std::collections::BTreeMap;

use aegis_sandbox::Sandbox as Cluster;
use aegis_sandbox::picture::{Namespace, Picture, World, Zone, picture};
use serde_json::json;

use super::{ask, list, serving};
use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

const WORKLOADS: [&str; 3] =
    ["/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets", "/apis/apps/v1/daemonsets"];
const WEBHOOKS: &str = "/sandbox.aegis.dev/webhooks";
const FAULTS: &str = "/apis/sandbox.aegis.dev/v1/faults";

pub(super) fn show(context: &Context, target: &str) -> Result<Exit, Failure> {
    let folder = context.sandbox_folder(target);
    let Some(endpoint) = serving::answering(&folder) else {
        match context.global.json() {
            true => table::json(&json!({ "running": false, "endpoint": null, "folder": folder })),
            false => table::text("not running"),
        }
        return Ok(Exit::Ok);
    };
    let cluster = context.sandbox(target)?;
    let seen = picture(&look(context, &cluster)?);
    match context.global.json() {
        true => {
            table::json(&json!({ "running": true, "endpoint": endpoint, "folder": folder, "cluster": seen }))
        }
        false => {
            table::text(&format!("running at {endpoint}\n"));
            print(&seen);
        }
    }
    Ok(Exit::Ok)
}

fn look(context: &Context, cluster: &Cluster) -> Result<World, Failure> {
    let all = |paths: &[&str]| -> Result<Vec<_>, Failure> {
        let lists = paths.iter().map(|path| list(context, cluster, path));
        Ok(lists.collect::<Result<Vec<_>, _>>()?.concat())
    };
    // A cluster that has never had a fault does not know the kind, and need not.
    let groups = ask(context, cluster, "GET", "/apis", None)?;
    let has_faults =
        groups["groups"].as_array().into_iter().flatten().any(|group| group["name"] == "sandbox.aegis.dev");
    Ok(World {
        nodes: all(&["/api/v1/nodes"])?,
        pods: all(&["/api/v1/pods"])?,
        workloads: all(&WORKLOADS)?,
        faults: if has_faults { all(&[FAULTS])? } else { Vec::new() },
        webhooks: serde_json::from_value(ask(context, cluster, "GET", WEBHOOKS, None)?).unwrap_or_default(),
    })
}

pub(super) fn print(seen: &Picture) {
    let mut rows = vec![["REGION", "ZONE", "PODS", "NODES"].map(str::to_owned).to_vec()];
    rows.extend(seen.zones.iter().map(zone));
    table::text(&table::aligned(&rows));
    let mut rows = vec![["NAMESPACE", "WORKLOADS", "PODS", "NOT READY"].map(str::to_owned).to_vec()];
    rows.extend(seen.namespaces.iter().map(namespace));
    table::text(&format!("\n{}", table::aligned(&rows)));
    if !seen.faults.is_empty() {
        let mut rows = vec![["FAULT", "WHAT"].map(str::to_owned).to_vec()];
        rows.extend(seen.faults.iter().map(|(name, what)| vec![name.clone(), what.clone()]));
        table::text(&format!("\n{}", table::aligned(&rows)));
    }
    let webhooks = [(&seen.webhooks_assumed_allowed, "taken to say yes"), (&seen.webhooks_called, "called")];
    let told = |(counts, how): (&BTreeMap<String, u64>, &str)| -> Vec<Vec<String>> {
        counts.iter().map(|(name, count)| vec![name.clone(), how.to_owned(), count.to_string()]).collect()
    };
    let rows: Vec<_> = webhooks.into_iter().flat_map(told).collect();
    if !rows.is_empty() {
        let head = ["WEBHOOK", "WAS", "TIMES"].map(str::to_owned).to_vec();
        table::text(&format!("\n{}", table::aligned(&[vec![head], rows].concat())));
    }
}

fn zone(zone: &Zone) -> Vec<String> {
    let nodes: Vec<String> = zone
        .nodes
        .iter()
        .map(|(name, state)| if state == "Ready" { name.clone() } else { format!("{name} ({state})") })
        .collect();
    vec![zone.region.clone(), zone.zone.clone(), zone.pods.to_string(), nodes.join(", ")]
}

fn namespace(space: &Namespace) -> Vec<String> {
    let ready = format!("{}/{}", space.ready, space.workloads);
    vec![space.name.clone(), ready, space.pods.to_string(), space.waiting.join(", ")]
}
