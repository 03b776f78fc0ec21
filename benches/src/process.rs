//! Whole processes: cold start, the sandbox, and peak memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Row, fresh, percentile};

const HELLO: &str = "runbook(#{ title: \"Hello\" });\nlog(\"hello\");\n";

const THOUSAND: &str = r#"
runbook(#{ title: "A thousand", needs: ["k8s:change"] });
let objects = [];
for n in 0..1000 {
    objects.push(#{
        apiVersion: "v1", kind: "ConfigMap",
        metadata: #{ name: `object-${n}`, namespace: "default" },
        data: #{ number: `${n}` },
    });
}
k8s::apply(objects);
"#;

/// Rows of everything that is measured from outside.
pub(crate) fn all(directory: &Path) -> Vec<Row> {
    let Some(binary) = binary() else {
        return vec![Row {
            what: "cold start, sandbox, memory",
            figure: "not measured".to_owned(),
            against: "build it first: cargo build --release -p aegis".to_owned(),
        }];
    };
    vec![cold_start(&binary, directory), thousand(&binary, directory), memory(&binary, directory)]
}

fn binary() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join("aegis");
    beside.exists().then_some(beside)
}

fn run(binary: &Path, folder: &Path, script: &str) -> Duration {
    let file = folder.join("book.rhai");
    std::fs::write(&file, script).unwrap_or_else(|error| panic!("{error}"));
    let began = Instant::now();
    let status = Command::new(binary)
        .args(["run", "book.rhai"])
        .current_dir(folder)
        .env("AEGIS_STATE_DIR", folder.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let took = began.elapsed();
    let worked = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(worked, "`aegis run` in {} ended with {status:?}", folder.display());
    took
}

fn cold_start(binary: &Path, directory: &Path) -> Row {
    let folder = fresh(directory, "hello");
    let mut times: Vec<f64> = (0..21).map(|_| run(binary, &folder, HELLO).as_secs_f64() * 1e3).collect();
    Row {
        what: "cold start of a hello runbook, p50 of 21",
        figure: format!("{:.1} ms", percentile(&mut times, 0.5)),
        against: "goal <= 20 ms".to_owned(),
    }
}

fn thousand(binary: &Path, directory: &Path) -> Row {
    let took = run(binary, &fresh(directory, "thousand"), THOUSAND);
    Row {
        what: "1,000 objects applied to a new sandbox",
        figure: format!("{} ms", took.as_millis()),
        against: format!("{:.0} objects/s, start included", 1000.0 / took.as_secs_f64()),
    }
}

/// Peak resident memory of a hello run, as the kernel counted it, through GNU time where it is installed.
fn memory(binary: &Path, directory: &Path) -> Row {
    let folder = fresh(directory, "memory");
    std::fs::write(folder.join("book.rhai"), HELLO).unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M"])
        .arg(binary)
        .args(["run", "book.rhai"])
        .current_dir(&folder)
        .env("AEGIS_STATE_DIR", folder.join("state"))
        .stdin(Stdio::null())
        .output();
    let kilobytes = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().last()?.trim().parse::<f64>().ok()
    });
    Row {
        what: "peak memory of a hello runbook",
        figure: kilobytes
            .map_or_else(|| "GNU time is missing".to_owned(), |k| format!("{:.0} MiB", k / 1024.0)),
        against: String::new(),
    }
}
