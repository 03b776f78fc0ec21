//! A sandbox as the recordings had their cluster: three control planes and six workers in three zones.
//!
//! A recording that tells of versions long forgotten was made on an old server, so it gets one: time
//! runs fast until the sandbox has forgotten its first versions as well.

use std::time::Duration;

use aegis_sandbox::serve::{Settings, Topology};
use aegis_sandbox::{Options, Sandbox};
use anyhow::Context;
use serde_json::json;

use crate::client::Client;
use crate::nodes::nodes;
use crate::recording::{Line, Recording};

/// How fast time runs on a server that has to be old: its window of versions passes in a second.
const FAST: f64 = 600.0;

/// How long the real controller waits before it empties a namespace.
const NAMESPACE_DELAY: Duration = Duration::from_secs(5);

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
        let is_old = recording.lines.iter().any(|line| forgotten(line).is_some());
        let time_scale = if is_old { FAST } else { 1.0 };
        let settings = Settings { namespace_delay: NAMESPACE_DELAY, ..Settings::default() };
        let options = Options {
            settings,
            topology: Topology { control_planes: 0, workers: 0, ..Topology::default() },
            tls: false,
            time_scale,
            ..Options::default()
        };
        let sandbox = Sandbox::join(directory.path(), options)?;
        sandbox.ready().await?;
        let client = client(&sandbox)?;
        prepare(&client, recording).await?;
        if is_old {
            let past = recording.lines.iter().filter_map(forgotten).max().unwrap_or_default();
            age(&client, past).await?;
        }
        Ok(Self { client, _sandbox: sandbox, _directory: directory })
    }
}

fn client(sandbox: &Sandbox) -> anyhow::Result<Client> {
    let kubeconfig = sandbox.kubeconfig();
    let token = kubeconfig
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "))
        .context("the kubeconfig holds no token")?;
    let endpoint = sandbox.endpoint();
    let authority = endpoint.strip_prefix("http://").context("the sandbox speaks TLS")?;
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

/// Writes until a version is past, and waits until it is forgotten.
async fn age(client: &Client, past: u64) -> anyhow::Result<()> {
    let place = "/api/v1/namespaces/default/configmaps";
    let body = json!({"metadata": {"name": "age"}});
    client.ask(&client.as_administrator("POST", place, &body)).await?;
    for count in 0..=past {
        let patch = json!({"metadata": {"annotations": {"count": count.to_string()}}});
        client.ask(&client.as_administrator("PATCH", &format!("{place}/age"), &patch)).await?;
    }
    client.ask(&client.as_administrator("DELETE", &format!("{place}/age"), &json!({}))).await?;
    let watch = format!("/api/v1/pods?watch=1&timeoutSeconds=1&resourceVersion={past}");
    while client.get(&watch).await?["object"]["code"] != 410 {
        client.ask(&client.as_administrator("POST", place, &body)).await?;
        client.ask(&client.as_administrator("DELETE", &format!("{place}/age"), &json!({}))).await?;
    }
    Ok(())
}
