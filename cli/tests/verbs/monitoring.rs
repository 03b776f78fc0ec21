//! The programs that watch a cluster, as they are: a real Alertmanager sends what fires, promtool reads the metrics.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::project::Project;
use crate::serving::{Serving, ask};
use crate::triggers::{SENDER, history, project, until};

const TRIGGERS: &str = "
[triggers.disk]
on = \"alertmanager\"
runbook = \"runbooks/grow.rhai\"
match = { \"/labels/alertname\" = \"DiskFull\" }
fill = { volume = \"/labels/volume\" }

[triggers.disk-over]
on = \"alertmanager\"
status = \"resolved\"
runbook = \"runbooks/grow.rhai\"
fill = { volume = \"/labels/volume\" }
";

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools")
}

fn tool(name: &str) -> PathBuf {
    let binary = tools().join("bin").join(name);
    assert!(binary.exists(), "this test needs {name} in .tools/: run `.ci/tools prometheus`");
    binary
}

/// A real Alertmanager that sends to both triggers, again and again as long as an alert fires.
struct Alertmanager {
    child: Child,
    address: String,
}

impl Alertmanager {
    fn start(project: &Project, serving: &Serving) -> Self {
        project.write("token", SENDER);
        let receiver = |trigger: &str| {
            json!({
                "url": format!("http://{}/v1/triggers/{trigger}", serving.address),
                "http_config": { "authorization": { "credentials_file": project.path("token") } },
            })
        };
        // JSON is YAML.
        let config = json!({
            "route": {
                "receiver": "aegis", "group_by": ["alertname"],
                "group_wait": "10ms", "group_interval": "1s", "repeat_interval": "1s",
            },
            "receivers": [{ "name": "aegis", "webhook_configs": [receiver("disk"), receiver("disk-over")] }],
        });
        project.write("alertmanager.yml", &config.to_string());
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(tool("alertmanager"))
            .current_dir(tools())
            .arg(format!("--config.file={}", project.path("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", project.path("alertmanager").display()))
            .arg(format!("--web.listen-address={free}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = free.to_string();
        until("Alertmanager", || {
            ask(&address, "GET", "/-/ready", &[], "").is_ok_and(|answer| answer.status == 200)
        });
        Self { child, address }
    }

    /// What Prometheus tells of an alert; one that has ended is resolved.
    fn tell(&self, volume: &str, ends: Option<jiff::Timestamp>) {
        let mut alert = json!({
            "labels": { "alertname": "DiskFull", "volume": volume },
            "annotations": { "summary": "the disk is nearly full" },
            "generatorURL": "http://prometheus.example.com:9090/graph",
        });
        if let Some(ends) = ends {
            alert["endsAt"] = json!(ends.to_string());
        }
        let body = json!([alert]).to_string();
        ask(&self.address, "POST", "/api/v2/alerts", &[], &body).unwrap().with(200);
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_alertmanager_starts_one_run_an_alert_and_promtool_likes_the_metrics() {
    let project = project(TRIGGERS);
    let mut serving = Serving::listening(&project, &[]);
    let alertmanager = Alertmanager::start(&project, &serving);
    alertmanager.tell("data", None);
    let ended = serving.hears("ended");
    assert_eq!(ended["verdict"], "succeeded", "{ended}");
    let run = ended["run"].as_str().unwrap();
    assert!(project.aegis(&["logs", run]).ended(0).out.contains("grows data by 10"));
    // It is told again and again, and nothing more starts; another volume is another alert.
    let told_again = "aegis_trigger_events_total{trigger=\"disk\",outcome=\"known\"} ";
    until("a second repetition", || {
        let metrics = serving.ask("GET", "/metrics", &[], "").with(200).body;
        let count = metrics.lines().find_map(|line| line.strip_prefix(told_again)?.parse::<u32>().ok());
        count.is_some_and(|count| count >= 2)
    });
    alertmanager.tell("logs", None);
    assert_eq!(serving.hears("ended")["verdict"], "succeeded");
    // When it is over, that is told once to who asked for it.
    alertmanager.tell("data", Some(jiff::Timestamp::now()));
    assert_eq!(serving.hears("ended")["verdict"], "succeeded");
    until("the resolved alert", || !history(&project, "disk-over").is_empty());
    drop(alertmanager);

    let metrics = serving.ask("GET", "/metrics", &[], "").with(200).body;
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let told = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([told.stdout, told.stderr].concat()).unwrap();
    assert!(told.status.success() && said.trim().is_empty(), "{said}\n{metrics}");

    serving.stop();
    let started = |trigger: &str| {
        let mut volumes: Vec<String> = history(&project, trigger)
            .iter()
            .map(|record| record["given"]["volume"].as_str().unwrap().to_owned())
            .collect();
        volumes.sort();
        volumes
    };
    assert_eq!(started("disk"), ["data", "logs"]);
    assert_eq!(started("disk-over"), ["data"]);
}
