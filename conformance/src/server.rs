//! A sandbox as the recordings had their cluster: three control planes and six workers in three zones.
//!
//! A recording that tells of versions long forgotten was made on an old server, so it gets one: time
//! runs fast until the sandbox has forgotten its first versions as well.

use aegis_sandbox::serve::Topology;
use aegis_sandbox::{Options, Sandbox};
use anyhow::Context;
use serde_json::json;

use crate::client::Client;
use crate::recording::{Line, Recording};

/// How fast time runs on a server that has to be old: its window of versions passes in a second.
const FAST: f64 = 600.0;

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
        let options = Options { topology: topology(), tls: false, time_scale, ..Options::default() };
        let sandbox = Sandbox::join(directory.path(), options)?;
        sandbox.ready().await?;
        let client = client(&sandbox)?;
        if is_old {
            let past = recording.lines.iter().filter_map(forgotten).max().unwrap_or_default();
            age(&client, past).await?;
        }
        Ok(Self { client, _sandbox: sandbox, _directory: directory })
    }
}

fn topology() -> Topology {
    Topology {
        control_planes: 3,
        workers: 6,
        region: "ap-northeast-2".into(),
        zones: ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"].map(String::from).to_vec(),
        cpu: "16".into(),
        memory: "64Gi".into(),
        version: "v1.28.15".into(),
        ..Topology::default()
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
        let mut asked = client.as_administrator("PATCH", &format!("{place}/age"), &patch);
        asked.headers.retain(|(name, _)| name != "Content-Type");
        asked.headers.push(("Content-Type".into(), "application/merge-patch+json".into()));
        client.ask(&asked).await?;
    }
    client.ask(&client.as_administrator("DELETE", &format!("{place}/age"), &json!({}))).await?;
    let watch = format!("/api/v1/pods?watch=1&timeoutSeconds=1&resourceVersion={past}");
    while client.get(&watch).await?["object"]["code"] != 410 {
        client.ask(&client.as_administrator("POST", place, &body)).await?;
        client.ask(&client.as_administrator("DELETE", &format!("{place}/age"), &json!({}))).await?;
    }
    Ok(())
}
