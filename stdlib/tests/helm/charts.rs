//! Where charts come from, that their bytes are the ones that were meant, and that no value leaks on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::Digest as _;

use super::{Tool, World, own_charts, pick, provides, tool, web};

#[tokio::test]
async fn charts_are_pinned_by_their_bytes() {
    let world = World::with(Tool::Three).await;
    let project = world.bench.context.project.clone();
    world.by_hand(
        "helm3",
        &["package", own_charts().join("web").to_str().unwrap(), "-d", project.to_str().unwrap()],
    );
    let archive = json!({ "chart": "./web-0.1.0.tgz" });
    let installed = world.call("helm::install", web(archive.clone())).await;
    let digest = installed["digest"].as_str().unwrap().to_owned();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    let pinned = json!({ "chart": "./web-0.1.0.tgz", "digest": digest });
    assert_eq!(world.call("helm::install", web(pinned)).await["revision"], 2);
    let wrong = json!({ "chart": "./web-0.1.0.tgz", "digest": "0".repeat(64), "provides": provides() });
    assert_eq!(world.fails("helm::install", web(wrong)).await.code, "A0502");
    let pulled = world
        .call("helm::pull", json!({ "chart": "./web-0.1.0.tgz", "digest": digest, "to": "pulled" }))
        .await;
    assert_eq!(pulled["digest"], digest);
    assert!(project.join("pulled/web-0.1.0.tgz").is_file());
}

async fn a_chart_comes_from_a_repository(tool_: Tool, by_hand: &str) {
    let world = World::with(tool_).await;
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().to_str().unwrap();
    world.by_hand(by_hand, &["package", own_charts().join("web").to_str().unwrap(), "-d", folder]);
    let url = serve(files.path().to_owned()).await;
    world.by_hand(by_hand, &["repo", "index", folder, "--url", &url]);
    let from = json!({ "chart": "web", "repository": url, "version": "0.1.0" });
    let answer = world.call("helm::install", web(from)).await;
    assert_eq!(pick(&answer, &["chart", "stand_in"]), [&json!("web-0.1.0"), &json!(false)]);
    world.call("helm::repo_add", json!({ "name": "demo", "url": url })).await;
    world.call("helm::repo_update", json!({})).await;
    let pulled = world.call("helm::pull", json!({ "chart": "demo/web" })).await;
    assert_eq!(pulled["digest"], answer["digest"]);
    let rendered = world.call("helm::template", json!({ "name": "x", "chart": "demo/web" })).await;
    assert_eq!(rendered["objects"].as_array().unwrap().len(), 4);
    assert_eq!(rendered["definitions"].as_array().unwrap().len(), 1);
    let absent = json!({ "chart": "web", "repository": url, "version": "9.9.9" });
    assert_eq!(world.fails("helm::install", web(absent)).await.code, "A0403");
}

/// A chart repository: a folder over HTTP on loopback.
async fn serve(folder: PathBuf) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = move |axum::extract::Path(name): axum::extract::Path<String>| {
        let path = folder.join(name);
        async move { tokio::fs::read(path).await.map_err(|_| axum::http::StatusCode::NOT_FOUND) }
    };
    let router = axum::Router::new().route("/{name}", axum::routing::get(file));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A chart comes from an OCI registry: as much of one as a pull needs (manifest by tag, blobs by digest).
async fn a_chart_comes_from_a_registry(tool_: Tool) {
    let world = World::with(tool_).await;
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().to_str().unwrap();
    world.by_hand("helm3", &["package", own_charts().join("web").to_str().unwrap(), "-d", folder]);
    let archive = std::fs::read(files.path().join("web-0.1.0.tgz")).unwrap();
    let digest = digest(&archive);
    let registry = registry(archive).await;
    let from =
        json!({ "chart": format!("oci://{registry}/charts/web"), "version": "0.1.0", "plain_http": true });
    let answer = world.call("helm::install", web(from)).await;
    assert_eq!(
        pick(&answer, &["chart", "stand_in", "digest"]),
        [&json!("web-0.1.0"), &json!(false), &json!(digest)]
    );
}

async fn registry(archive: Vec<u8>) -> String {
    let config = json!({ "apiVersion": "v2", "name": "web", "version": "0.1.0" }).to_string().into_bytes();
    let described = |kind: &str, bytes: &[u8]| {
        let media = format!("application/vnd.cncf.helm.{kind}");
        json!({ "mediaType": media, "digest": digest(bytes), "size": bytes.len() })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described("config.v1+json", &config),
        "layers": [described("chart.content.v1.tar+gzip", &archive)],
    });
    let manifest = manifest.to_string().into_bytes();
    let tagged = digest(&manifest);
    let objects = [config, archive, manifest];
    let blobs: BTreeMap<String, Vec<u8>> = objects.into_iter().map(|bytes| (digest(&bytes), bytes)).collect();
    let answer = move |axum::extract::Path((_, name)): axum::extract::Path<(String, String)>| {
        let digest = if name == "0.1.0" { tagged.clone() } else { name };
        let kind = if digest == tagged { MANIFEST } else { "application/octet-stream" };
        let found = blobs.get(&digest).cloned().ok_or(axum::http::StatusCode::NOT_FOUND);
        let headers = [("content-type", kind.to_owned()), ("docker-content-digest", digest)];
        async move { found.map(|bytes| (headers, bytes)) }
    };
    let router = axum::Router::new()
        .route("/v2/", axum::routing::get(|| async {}))
        .route("/v2/charts/web/{what}/{name}", axum::routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let hash = sha2::Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::test]
async fn a_chart_comes_from_a_registry_with_helm_3() {
    a_chart_comes_from_a_registry(Tool::Three).await;
}

#[tokio::test]
async fn a_chart_comes_from_a_registry_with_helm_4() {
    a_chart_comes_from_a_registry(Tool::Four).await;
}

#[tokio::test]
async fn a_chart_comes_from_a_repository_with_helm_3() {
    a_chart_comes_from_a_repository(Tool::Three, "helm3").await;
}

#[tokio::test]
async fn a_chart_comes_from_a_repository_with_helm_4() {
    a_chart_comes_from_a_repository(Tool::Four, "helm4").await;
}

#[tokio::test]
async fn no_value_stands_on_a_command_line_or_stays_behind() {
    let folder = tempfile::tempdir().unwrap();
    let spy = folder.path().join("helm");
    let log = folder.path().join("seen");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{log}'\nfor word in \"$@\"; do case $word in --values=*|--kubeconfig=*) \
         stat -c '%a %n' \"${{word#*=}}\" >> '{log}';; esac; done\nexec '{helm}' \"$@\"\n",
        log = log.display(),
        helm = tool("helm3").display(),
    );
    std::fs::write(&spy, script).unwrap();
    std::process::Command::new("chmod").arg("+x").arg(&spy).status().unwrap();
    let mut world = World::with(Tool::Three).await;
    world.target.helm.binary = Some(spy);
    world.again();
    world.call("helm::install", web(json!({ "values": { "password": "correct-horse-battery" } }))).await;
    let seen = std::fs::read_to_string(&log).unwrap();
    assert!(seen.contains("upgrade web ") && !seen.contains("correct-horse-battery"), "{seen}");
    let files: Vec<&str> = seen.lines().filter(|line| line.starts_with("600 ")).collect();
    assert!(files.len() >= 2, "values and kubeconfig are private files: {seen}");
    for line in files {
        assert!(!Path::new(&line[4..]).exists(), "{line} was left behind");
    }
    for home in ["cache", "config", "data"] {
        assert!(world.folder.path().join("state/helm").join(home).is_dir());
    }
}
