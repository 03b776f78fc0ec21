//! What is left when somebody stops in the middle: a helm that was killed, a call that was cancelled, an aegis that
//! died while its helm went on.

use std::path::Path;

use serde_json::json;

use super::{Tool, World, bench, described, pick, release, tool, web};

async fn a_pending_release_is_repaired(tool_: Tool) {
    let world = World::with(tool_).await;
    world.call("helm::install", web(json!({}))).await;
    // What a helm that was killed in the middle of an upgrade leaves: a second revision that never ended.
    leave_pending(&world, 2, "pending-upgrade").await;
    let status = world.call("helm::status", release()).await;
    assert_eq!(pick(&status, &["status", "pending"]), [&json!("pending-upgrade"), &json!(true)]);
    let refused = world.fails("helm::install", web(json!({}))).await;
    assert_eq!((refused.code.as_str(), refused.retryable), ("A0404", true), "{refused:?}");
    let plan = world.bench.plan("helm::install", web(json!({}))).await.unwrap();
    assert!(
        plan.summary.contains("it was left `pending-upgrade`: first roll back to revision 1"),
        "{}",
        plan.summary
    );
    let probe = world.bench.probe("helm::install", web(json!({})), plan.undo.as_ref()).await.unwrap();
    assert_eq!(probe, aegis_engine::function::Probe::DidNotHappen);
    let repaired = world.call("helm::install", web(json!({ "repair": true }))).await;
    assert_eq!(repaired["repaired"], "it was left `pending-upgrade`: rolled back to revision 1");
    assert_eq!(pick(&repaired, &["status", "revision"]), [&json!("deployed"), &json!(4)]);
}

/// Writes a revision as helm would have left it: the newest one's record in another state.
async fn leave_pending(world: &World, revision: u64, status: &str) {
    let encoded = world.by_hand(
        "kubectl",
        &[
            "get",
            "-n",
            "shop",
            "secret",
            &format!("sh.helm.release.v1.web.v{}", revision - 1),
            "-o",
            "jsonpath={.data.release}",
        ],
    );
    let record = record::edit(&encoded, |record| {
        record["version"] = json!(revision);
        record["info"]["status"] = json!(status);
        record["info"]["last_deployed"] = json!(jiff::Timestamp::now().to_string());
    });
    let labels = json!({ "owner": "helm", "name": "web", "status": status, "version": revision.to_string() });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": { "release": record },
        "metadata": { "name": format!("sh.helm.release.v1.web.v{revision}"), "namespace": "shop", "labels": labels },
    });
    world.call("k8s::apply", json!({ "manifest": secret })).await;
}

mod record {
    //! helm's own encoding, written again here so that the tests do not believe the module's.

    use std::io::{Read, Write};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    pub(super) fn edit(data: &str, change: impl FnOnce(&mut Value)) -> String {
        let packed = STANDARD.decode(STANDARD.decode(data.trim()).unwrap()).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        let mut record: Value = serde_json::from_str(&text).unwrap();
        change(&mut record);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(record.to_string().as_bytes()).unwrap();
        STANDARD.encode(STANDARD.encode(gzip.finish().unwrap()))
    }
}

#[tokio::test]
async fn a_pending_release_is_repaired_with_helm_3() {
    a_pending_release_is_repaired(Tool::Three).await;
}

#[tokio::test]
async fn a_pending_release_is_repaired_with_helm_4() {
    a_pending_release_is_repaired(Tool::Four).await;
}

/// Cancelling in the middle leaves a release that the next call, on the same machine, repairs without being told.
async fn a_cancelled_install_is_repaired_by_the_next(tool_: Tool) {
    let mut world = World::with(tool_).await;
    let token = world.bench.context.cancellation().clone();
    let slow = web(json!({ "values": { "image": "registry.example.com/web:bad" }, "timeout": "300s" }));
    let started = async {
        while !world.exists("deployment/web").await {
            tokio::task::yield_now().await;
        }
        token.cancel();
    };
    let (outcome, ()) = tokio::join!(world.bench.call("helm::install", slow), started);
    assert_eq!(outcome.unwrap_err().code, "A0107");
    world.again();
    let probe = world.bench.probe("helm::install", web(json!({})), None).await.unwrap();
    assert_eq!(probe, aegis_engine::function::Probe::DidNotHappen);
    let next = world.call("helm::install", web(json!({}))).await;
    assert_eq!(next["status"], "deployed");
    let probe = world.bench.probe("helm::install", web(json!({})), None).await.unwrap();
    let aegis_engine::function::Probe::Happened(answer) = probe else { panic!("{probe:?}") };
    assert_eq!(answer["revision"], next["revision"]);
}

#[tokio::test]
async fn a_cancelled_install_is_repaired_by_the_next_with_helm_3() {
    a_cancelled_install_is_repaired_by_the_next(Tool::Three).await;
}

#[tokio::test]
async fn a_cancelled_install_is_repaired_by_the_next_with_helm_4() {
    a_cancelled_install_is_repaired_by_the_next(Tool::Four).await;
}

/// The process that is killed: it does what the last test before it asks for, and is no test by itself.
#[tokio::test]
#[ignore = "started by `a_release_survives_the_death_of_its_aegis`"]
async fn an_aegis_that_will_be_killed() {
    let state = std::env::var("AEGIS_TEST_WORLD").expect("started by the test that kills it");
    let (target, surroundings) = described(Path::new(&state), tool("helm3"));
    let slow = web(json!({ "values": { "image": "registry.example.com/web:bad" }, "timeout": "20s" }));
    let outcome = bench(&target, &surroundings).call("helm::install", slow).await;
    panic!("it was not killed: {outcome:?}");
}

/// kill -9 of aegis leaves its helm at work. The next call waits for that helm by the lock it inherited, and goes on
/// from whatever it left.
#[tokio::test]
async fn a_release_survives_the_death_of_its_aegis() {
    let world = World::with(Tool::Three).await;
    let mut doomed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crashes::an_aegis_that_will_be_killed", "--ignored", "--nocapture"])
        .env("AEGIS_TEST_WORLD", world.folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !world.exists("deployment/web").await {
        assert!(doomed.try_wait().unwrap().is_none(), "the doomed process ended too early");
    }
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    assert_eq!(world.call("helm::status", release()).await["status"], "pending-install");
    let probe = world.bench.probe("helm::install", web(json!({})), None).await.unwrap();
    assert_eq!(probe, aegis_engine::function::Probe::DidNotHappen);
    let told = world.bench.progress.lock().unwrap().join("\n");
    assert!(told.contains("waiting for another helm process on `web` in `shop`"), "{told}");
    assert_eq!(world.call("helm::install", web(json!({}))).await["status"], "deployed");
}
