//! A sandbox as the recordings had their cluster: three control planes and six workers in three zones.
//!
//! A recording that tells of versions long forgotten was made on an old server, so it gets one: written to
//! beyond those versions, and started again.

use std::time::Duration;

use aegis_sandbox::controllers::settings::{Effect, Rule};
use aegis_sandbox::serve::{Settings, Topology};
use aegis_sandbox::{Options, Sandbox};
use anyhow::Context;
use serde_json::json;

use crate::client::Client;
use crate::nodes::{left_behind, nodes};
use crate::recording::{Line, Recording};

/// How many writes a server surely forgets when it starts again.
const MORE_THAN_REMEMBERED: u64 = 1000;

/// How long the real controller waits before it empties a namespace.
const NAMESPACE_DELAY: Duration = Duration::from_secs(5);

/// How long the recordings' played kubelet took to start and to stop a pod.
const CONTAINER_START: Duration = Duration::from_millis(300);
const STOP_DELAY: Duration = Duration::from_millis(360);

/// How long their played provisioner took to make a volume, and the binder to see it.
const PROVISION_DELAY: Duration = Duration::from_millis(200);

/// A running sandbox and the way to it.
pub(crate) struct Server {
    pub(crate) client: Client,
    _sandbox: Sandbox,
    _directory: tempfile::TempDir,
}

impl Server {
    /// Starts a sandbox for a recording.
    pub(crate) async fn start(recording: &Recording) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut sandbox = Sandbox::join(directory.path(), options())?;
        sandbox.ready().await?;
        let mut client = reach(&sandbox)?;
        prepare(&client, recording).await?;
        if let Some(past) = recording.lines.iter().filter_map(forgotten).max() {
            age(&client, past).await?;
            drop(sandbox);
            sandbox = Sandbox::join(directory.path(), options())?;
            sandbox.ready().await?;
            client = reach(&sandbox)?;
        }
        Ok(Self { client, _sandbox: sandbox, _directory: directory })
    }
}

fn options() -> Options {
    let mut settings = Settings {
        namespace_delay: NAMESPACE_DELAY,
        container_start: CONTAINER_START,
        stop_delay: STOP_DELAY,
        provision_delay: PROVISION_DELAY,
        ..Settings::default()
    };
    // The recordings' own convention for programs that fail.
    settings.rules.push(Rule::command("exit 1", Effect::Exits(1)));
    let topology = Topology { control_planes: 0, workers: 0, ..Topology::default() };
    Options { settings, topology, tls: false, ..Options::default() }
}

fn reach(sandbox: &Sandbox) -> anyhow::Result<Client> {
    let kubeconfig = sandbox.kubeconfig();
    let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: "));
    let endpoint = sandbox.endpoint();
    let authority = endpoint.strip_prefix("http://").context("the sandbox speaks TLS")?;
    let token = token.context("the kubeconfig holds no token")?;
    Ok(Client { authority: authority.to_owned(), token: token.to_owned() })
}

/// Registers the nodes as their kubelet does, and takes away what the recorded cluster did not have.
async fn prepare(client: &Client, recording: &Recording) -> anyhow::Result<()> {
    for node in nodes(recording) {
        // A new node has no status yet, whatever is sent.
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let status = json!({"status": node["status"]});
        let place = format!("/api/v1/nodes/{name}/status");
        for (method, place, body) in [("POST", "/api/v1/nodes", &node), ("PATCH", &*place, &status)] {
            let mut asked = client.as_administrator(method, place, body);
            asked.headers.push(("User-Agent".into(), "kubelet".into()));
            let answer = client.ask(&asked).await?;
            anyhow::ensure!(answer.status < 300, "node `{name}` is refused: {}", answer.body);
        }
    }
    for (manager, name, patch) in left_behind(recording) {
        let mut asked = client.as_administrator("PATCH", &format!("/api/v1/nodes/{name}"), &patch);
        asked.headers.push(("User-Agent".into(), manager));
        client.ask(&asked).await?;
    }
    let class = "/apis/storage.k8s.io/v1/storageclasses/sandbox-local";
    client.ask(&client.as_administrator("DELETE", class, &json!({}))).await?;
    Ok(())
}

/// The version that a line names and the server had forgotten.
fn forgotten(line: &Line) -> Option<u64> {
    let is_gone = line.status == 410
        || line
            .watch_events
            .iter()
            .flatten()
            .any(|event| event.kind == "ERROR" && event.object["code"] == 410);
    let version = line.query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
    is_gone.then(|| version.and_then(|version| version.parse().ok()).unwrap_or(1))
}

/// Writes until a version is long past. A server that starts again remembers its last events only.
async fn age(client: &Client, past: u64) -> anyhow::Result<()> {
    let place = "/api/v1/namespaces/default/configmaps";
    let body = json!({"metadata": {"name": "age"}});
    client.ask(&client.as_administrator("POST", place, &body)).await?;
    for count in 0..past + MORE_THAN_REMEMBERED {
        let patch = json!({"metadata": {"annotations": {"count": count.to_string()}}});
        client.ask(&client.as_administrator("PATCH", &format!("{place}/age"), &patch)).await?;
    }
    client.ask(&client.as_administrator("DELETE", &format!("{place}/age"), &json!({}))).await?;
    Ok(())
}
