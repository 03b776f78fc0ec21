//! What goes wrong outside of aegis: the kubeconfig, the server, the credentials, helm, the disk, the journal's
//! bytes. Each of them is told once (a sentence, a hint, a page), ends with the documented exit code, and
//! leaves a run that goes on when the cause is gone, without doing again what was done.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::cluster::{Cluster, client};
use crate::process::Project;

/// Exit codes of `aegis --help`.
const OUTSIDE: i32 = 5;
const STATE: i32 = 6;

/// One effect after a step that must not be done twice.
const TOUCH: &str = r#"
runbook(#{ title: "Touch the cluster", needs: ["k8s:change"] });
step("before", || time::now());
step("touch", || { k8s::apply(#{ apiVersion: "v1", kind: "ConfigMap", metadata: #{ name: "a" }, data: #{ b: "c" } }); });
"#;

/// What a person is told: code, words of the sentence, words of the hint.
struct Told {
    code: &'static str,
    says: &'static str,
    hint: &'static str,
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Demands exactly one error, of one line, with hint and page, and the exit code.
fn assert_told(project: &Project, output: &Output, exit: i32, told: &Told) {
    let text = both(output);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(errors[0].starts_with(&format!("error[{}]: ", told.code)), "{text}");
    assert!(errors[0].contains(told.says), "`{}` is not said: {text}", told.says);
    let hints: Vec<&str> = text.lines().filter(|line| line.contains("= hint: ")).collect();
    assert!(hints.len() == 1 && hints[0].contains(told.hint), "`{}` is no hint: {text}", told.hint);
    let page = format!("see: aegis explain {}", told.code);
    assert_eq!(text.matches(&page).count(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    let explained = project.output(&["explain", told.code]);
    assert!(explained.status.success() && both(&explained).contains("What to do"), "{}", told.code);
}

/// Points the target `there` at a kubeconfig.
fn point(project: &Project, kubeconfig: &str, more: &str) {
    let text = format!("[targets.there.kubernetes]\nkubeconfig = \"{kubeconfig}\"\n{more}");
    std::fs::write(project.path().join("aegis.toml"), text).unwrap();
}

/// Runs into an error; then the cause is removed and the run goes on to its end.
fn fails_then_goes_on(project: &Project, told: &Told) {
    let output = project.output(&["run", "book.rhai", "--target", "there"]);
    assert_told(project, &output, OUTSIDE, told);
    assert!(both(&output).contains("next: aegis retry "), "{}", both(&output));
    point(project, "good", "");
    let retry = project.output(&["retry", "last"]);
    let text = both(&retry);
    assert!(retry.status.success(), "{}: {text}", told.says);
    assert!(!text.contains("ok before (") || text.contains("replay"), "done again: {text}");
    println!("{}: exit {OUTSIDE}, then retried to its end", told.says);
}

#[test]
fn a_screen_that_goes_away_does_not_end_a_run() {
    let project =
        Project::new("runbook(#{ title: \"t\" });\nfor n in 0..100 { log(`line ${n}`); }\n\"done\"");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = project
        .command(&["run", "book.rhai"])
        .env("AEGIS_LOG", "debug")
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(project.show()["report"]["status"], "succeeded");
}

#[test]
fn what_is_wrong_with_a_kubeconfig_or_a_server_is_told_once() {
    let project = Project::new(TOUCH);
    let cluster = Cluster::of(&project);
    let good = cluster.kubeconfig.clone();
    let closed = format!("https://{}", closed_port());
    let stranger = token_of_nobody(&cluster);
    let unsigned: Vec<&str> = good.lines().filter(|line| !line.contains("certificate-authority")).collect();
    let files = [
        ("good", good.clone()),
        ("prose", "this is no kubeconfig".to_owned()),
        ("closed", cluster.kubeconfig_with(&[("server", &closed)])),
        ("unsigned", unsigned.join("\n")),
        ("expired", cluster.kubeconfig_with(&[("token", "a-token-that-is-not-valid-any-more")])),
        ("stranger", cluster.kubeconfig_with(&[("token", &stranger)])),
    ];
    for (name, text) in files {
        std::fs::write(project.path().join(name), text).unwrap();
    }
    let context = "context = \"prod\"";
    let cases = [
        ("missing", "", Told { code: "A0301", says: "does not exist", hint: "KUBECONFIG" }),
        ("prose", "", Told { code: "A0301", says: "is not readable", hint: "kubectl config view" }),
        (
            "good",
            context,
            Told { code: "A0301", says: "no context `prod`", hint: "its contexts are `sandbox`" },
        ),
        ("closed", "", Told { code: "A0302", says: "Connection refused", hint: "is the cluster up" }),
        ("unsigned", "", Told { code: "A0305", says: "no secure connection", hint: "certificate authority" }),
        (
            "expired",
            "",
            Told { code: "A0303", says: "does not accept the credentials", hint: "log in again" },
        ),
        ("stranger", "", Told { code: "A0304", says: "not allowed to", hint: "kubectl auth can-i" }),
    ];
    for (kubeconfig, more, told) in &cases {
        point(&project, kubeconfig, more);
        fails_then_goes_on(&project, told);
    }
}

/// A port that nothing listens on: it was free a moment ago.
fn closed_port() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A token of a service account that no role was given to.
fn token_of_nobody(cluster: &Cluster<'_>) -> String {
    let accounts = format!("{}/api/v1/namespaces/default/serviceaccounts", cluster.value("server"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let post = |url: String, body: serde_json::Value| {
        let request = client().post(url).bearer_auth(cluster.value("token")).json(&body);
        runtime.block_on(async { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() })
    };
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "nobody" } });
    post(accounts.clone(), account);
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let answer = post(format!("{accounts}/nobody/token"), request);
    answer["status"]["token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

#[test]
fn helm_that_is_missing_is_told_once() {
    let project = Project::new(
        r#"
runbook(#{ title: "Install a chart", needs: ["helm:read", "helm:change"] });
step("install", || helm::install("web", "./chart", #{ namespace: "default" }));
"#,
    );
    let cluster = Cluster::of(&project);
    std::fs::create_dir_all(project.path().join("chart/templates")).unwrap();
    std::fs::write(project.path().join("chart/Chart.yaml"), "apiVersion: v2\nname: web\nversion: 1.0.0\n")
        .unwrap();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n";
    std::fs::write(project.path().join("chart/templates/one.yaml"), object).unwrap();
    std::fs::write(project.path().join("good"), &cluster.kubeconfig).unwrap();
    point(&project, "good", "");
    let told = Told { code: "A0401", says: "helm is not installed", hint: "brew install helm" };
    assert_told(&project, &project.output(&["run", "book.rhai", "--target", "there"]), OUTSIDE, &told);
    let helm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/helm3");
    assert!(helm.exists(), "this test needs helm 3 in .tools/: run `just tools` (or .ci/tools helm3)");
    point(&project, "good", &format!("[targets.there.helm]\nbinary = \"{}\"\n", helm.display()));
    let retry = project.output(&["retry", "last"]);
    assert!(retry.status.success(), "{}", both(&retry));
}

/// About 3 MB of records, one step after the other; each has an effect, before and after which the journal is
/// brought to the disk. The files themselves lie elsewhere.
const WRITES: &str = r#"
runbook(#{ title: "Write much", needs: ["storage:change"] });
for number in 0..300 {
    step(`record ${number}`, || {
        storage::put(`file:///written/${number}`, "x");
        let text = `${number} `;
        text.pad(10000, 'x');
        text
    });
}
"#;

/// Steps of which a view says that they were done.
fn done(output: &Output) -> usize {
    both(output).lines().filter(|line| line.trim_start().starts_with("ok record ")).count()
}

/// Steps that the journal has as done.
fn recorded(shown: &serde_json::Value) -> usize {
    let tree = shown["report"]["tree"].as_array().unwrap();
    tree.iter().filter(|step| step["state"] == "ok").count()
}

/// A shell in a mount namespace of its own, so that no mount outlives the test; `$1` is the binary. `None`
/// where this user may not mount: a container without rights.
fn mounted(project: &Project, script: &str) -> Option<Output> {
    let aegis = project.command(&[]).get_program().to_owned();
    let shell = |flags: &str, script: &str| {
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-euc", script, "sh"]).arg(&aegis).current_dir(project.path());
        command.env("AEGIS_OPERATOR", "ada").env("HOME", project.path()).env_remove("AEGIS_STATE_DIR");
        command.stdin(Stdio::null()).output()
    };
    let able = |flags: &str| {
        shell(flags, "mkdir -p small; mount -t tmpfs -o size=64k none small")
            .is_ok_and(|o| o.status.success())
    };
    let flags = ["-m", "-Urm"].into_iter().find(|flags| able(flags));
    if flags.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "this test mounts a small disk: run it as root or with user namespaces"
        );
        println!("NOT TESTED: no disk can be mounted here; the limit on file sizes is tested instead");
    }
    flags.map(|flags| shell(flags, script).unwrap())
}

#[test]
fn a_full_disk_is_told_once_and_the_run_goes_on_when_there_is_room() {
    let project = Project::new(WRITES);
    let script = "mount -t tmpfs -o size=16m none small; head -c 14000000 /dev/zero > small/filler
        \"$1\" --state-dir small/state run book.rhai > first 2>&1 || echo $? > first.exit
        rm small/filler
        \"$1\" --state-dir small/state verify last
        \"$1\" --state-dir small/state resume last
        \"$1\" --state-dir small/state show last --output json > report";
    let Some(resumed) = mounted(&project, script) else { return };
    let text = std::fs::read_to_string(project.path().join("first")).unwrap();
    let exit = std::fs::read_to_string(project.path().join("first.exit")).unwrap();
    let first = Output { status: exited(exit.trim()), stdout: text.into_bytes(), stderr: Vec::new() };
    let told = Told {
        code: "A0203",
        says: "the disk with the state directory `small/state` is full",
        hint: "free some room",
    };
    assert_told(&project, &first, STATE, &told);
    assert!(both(&first).contains("next: aegis resume "), "{}", both(&first));
    assert!(resumed.status.success(), "{}", both(&resumed));
    let (before, after) = (done(&first), done(&resumed));
    println!("full disk: {before} steps told before, {after} after there was room");
    assert!(before > 10 && after > 10, "{}", both(&resumed));
    assert_eq!(before + after, 300, "a step was told twice or not at all: {}", both(&resumed));
    let report = std::fs::read(project.path().join("report")).unwrap();
    assert_eq!(recorded(&serde_json::from_slice(&report).unwrap()), 300, "a step was lost");
}

#[test]
fn a_disk_that_is_full_before_the_run_starts_is_told_as_what_it_is() {
    let project = Project::new(WRITES);
    // With no room at all, and with less and less in the way of the first files.
    for left in ["0", "4096", "20480", "45056"] {
        let script = format!(
            "mount -t tmpfs -o size=1m none small; mkdir small/state
            head -c 1048576 /dev/zero > small/filler 2>/dev/null || true; truncate -s -{left} small/filler
            \"$1\" --state-dir small/state run book.rhai > first 2>&1 || echo $? > first.exit"
        );
        if mounted(&project, &script).is_none() {
            return;
        }
        let text = std::fs::read_to_string(project.path().join("first")).unwrap();
        let exit = std::fs::read_to_string(project.path().join("first.exit")).unwrap();
        let first = Output { status: exited(exit.trim()), stdout: text.into_bytes(), stderr: Vec::new() };
        let says = "the disk with the state directory `small/state` is full";
        assert_told(&project, &first, STATE, &Told { code: "A0203", says, hint: "free some room" });
    }
}

fn exited(code: &str) -> std::process::ExitStatus {
    Command::new("sh").args(["-c", &format!("exit {code}")]).status().unwrap()
}

#[test]
fn a_limit_on_file_sizes_stops_the_run_and_loses_nothing() {
    let project = Project::new(WRITES);
    let aegis = project.command(&[]).get_program().to_owned();
    let mut limited = Command::new("sh");
    // Blocks of 512 bytes; the signal is ignored so that the write fails instead.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$1\" run book.rhai", "sh"]).arg(aegis);
    limited.current_dir(project.path()).env("AEGIS_STATE_DIR", project.path().join("state"));
    let first = limited.stdin(Stdio::null()).output().unwrap();
    let told = Told { code: "A0202", says: "cannot write to the state directory", hint: "ulimit -f" };
    assert_told(&project, &first, STATE, &told);
    let listed = project.output(&["runs"]);
    assert!(both(&listed).contains("  interrupted  "), "{}", both(&listed));
    let resumed = project.output(&["resume", "last"]);
    assert!(resumed.status.success(), "{}", both(&resumed));
    let (before, after) = (done(&first), done(&resumed));
    assert!(before > 10 && after > 10, "{}", both(&resumed));
    assert_eq!(before + after, 300, "a step was told twice or not at all: {}", both(&resumed));
    assert_eq!(recorded(&project.show()), 300, "a step was lost");
}

#[test]
fn a_state_directory_that_cannot_be_made_starts_nothing() {
    let project = Project::new(TOUCH);
    let output = project.output(&["--state-dir", "book.rhai", "run", "book.rhai"]);
    let told =
        Told { code: "A0202", says: "cannot use the state directory `book.rhai`", hint: "--state-dir" };
    assert_told(&project, &output, STATE, &told);
}

#[test]
fn a_read_only_state_directory_starts_nothing_and_leaves_what_is_there() {
    let project = Project::new("runbook(#{ title: \"Nothing\", needs: [] });\nstep(\"a\", || 1);\n");
    let script = "mount -t tmpfs -o size=4m none small
        \"$1\" --state-dir small/state run book.rhai >/dev/null 2>&1
        mount -o remount,ro small
        \"$1\" --state-dir small/state run book.rhai > second 2>&1 || echo $? > second.exit
        mount -o remount,rw small
        \"$1\" --state-dir small/state runs";
    let Some(runs) = mounted(&project, script) else { return };
    let text = std::fs::read_to_string(project.path().join("second")).unwrap();
    let exit = std::fs::read_to_string(project.path().join("second.exit")).unwrap();
    let second = Output { status: exited(exit.trim()), stdout: text.into_bytes(), stderr: Vec::new() };
    let says = "cannot use the state directory `small/state`: its file system is mounted read-only";
    let told = Told { code: "A0202", says, hint: "--state-dir" };
    assert_told(&project, &second, STATE, &told);
    assert!(runs.status.success(), "{}", both(&runs));
    assert_eq!(both(&runs).matches("succeeded").count(), 1, "{}", both(&runs));
}

#[test]
fn a_script_text_that_is_missing_is_named_and_the_file_stands_in_for_it() {
    let script = "runbook(#{ title: \"Fails\", needs: [] });\nimport \"beside\" as b;\nstep(\"a\", || b::one());\nthrow \"on purpose\";\n";
    let project = Project::new(script);
    std::fs::write(project.path().join("beside.rhai"), "fn one() { 1 }\n").unwrap();
    assert_eq!(project.output(&["run", "book.rhai"]).status.code(), Some(1));
    let run = project.show()["run"]["id"].as_str().unwrap().to_owned();
    let journal = rusqlite::Connection::open(project.path().join("state/journal.db")).unwrap();
    assert_eq!(journal.execute("DELETE FROM texts WHERE text LIKE 'runbook%'", []).unwrap(), 1);
    assert_eq!(journal.execute("UPDATE texts SET text = text || ' '", []).unwrap(), 1);
    drop(journal);
    let verified = project.output(&["verify"]);
    assert_eq!(verified.status.code(), Some(STATE));
    for part in
        ["of `book.rhai`: it is missing", "of `beside.rhai`: it is not what it was", "--script current"]
    {
        assert!(both(&verified).contains(part), "`{part}` is missing: {}", both(&verified));
    }
    let told = Told { code: "A0204", says: "the text of a script is", hint: "--script current" };
    assert_told(&project, &project.output(&["retry", &run]), STATE, &told);
    let gone_on = project.output(&["retry", &run, "--script", "current"]);
    assert!(both(&gone_on).contains("on purpose"), "{}", both(&gone_on));
    assert_eq!(gone_on.status.code(), Some(1));
}

#[test]
fn a_list_of_runs_that_was_written_into_is_told_and_not_gone_by() {
    let project = Project::new("runbook(#{ title: \"Fails\", needs: [] });\nthrow \"on purpose\";\n");
    assert_eq!(project.output(&["run", "book.rhai"]).status.code(), Some(1));
    let journal = rusqlite::Connection::open(project.path().join("state/journal.db")).unwrap();
    let change = "UPDATE runs SET target = 'elsewhere', person = 'mallory'";
    assert_eq!(journal.execute(change, []).unwrap(), 1);
    drop(journal);
    let verified = project.output(&["verify"]);
    assert_eq!(verified.status.code(), Some(STATE));
    for part in ["the target in the list of runs: it is listed as `elsewhere`, and is `sandbox`", "`mallory`"]
    {
        assert!(both(&verified).contains(part), "`{part}` is missing: {}", both(&verified));
    }
    // There is no target `elsewhere`.
    let gone_on = project.output(&["retry", "last"]);
    assert!(both(&gone_on).contains("on purpose"), "{}", both(&gone_on));
    assert!(project.output(&["undo", "last"]).status.success());
    // One row that cannot be read makes no other unreadable.
    assert_eq!(project.output(&["run", "book.rhai"]).status.code(), Some(1));
    let journal = rusqlite::Connection::open(project.path().join("state/journal.db")).unwrap();
    let change = "UPDATE runs SET started = 'zzz', title = x'ff00' WHERE target = 'elsewhere'";
    assert_eq!(journal.execute(change, []).unwrap(), 1);
    assert_eq!(journal.execute("UPDATE entries SET body = x'00ff' WHERE seq = 2", []).unwrap(), 2);
    drop(journal);
    let verified = project.output(&["verify"]);
    assert_eq!(verified.status.code(), Some(STATE));
    for part in ["the title in the list", "the start in the list", "record 2: its hash does not fit"] {
        assert!(both(&verified).contains(part), "`{part}` is missing: {}", both(&verified));
    }
    assert!(project.output(&["runs"]).status.success());
    let journal = rusqlite::Connection::open(project.path().join("state/journal.db")).unwrap();
    assert_eq!(journal.execute("DELETE FROM runs WHERE target = 'elsewhere'", []).unwrap(), 1);
    drop(journal);
    let verified = project.output(&["verify"]);
    assert!(both(&verified).contains("the run in the list of runs: it is missing"), "{}", both(&verified));
}

#[test]
fn a_damaged_record_is_told_once_and_touches_no_other_run() {
    let project = Project::new(
        "runbook(#{ title: \"Fails\", needs: [] });\nstep(\"a\", || 1);\nthrow \"on purpose\";\n",
    );
    assert_eq!(project.output(&["run", "book.rhai"]).status.code(), Some(1));
    let damaged = project.show()["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!(project.output(&["run", "book.rhai"]).status.code(), Some(1));
    let whole = project.show()["run"]["id"].as_str().unwrap().to_owned();
    assert_ne!(damaged, whole);
    let journal = rusqlite::Connection::open(project.path().join("state/journal.db")).unwrap();
    let change =
        "UPDATE entries SET body = replace(body, '\"a', '\"b') WHERE run = ?1 AND body LIKE '%\"a\"%'";
    assert!(journal.execute(change, [&damaged]).unwrap() >= 1);
    assert_eq!(
        journal.execute("UPDATE entries SET at = at || '0' WHERE run = ?1 AND seq = 4", [&damaged]).unwrap(),
        1
    );
    drop(journal);
    for verb in ["retry", "resume", "undo"] {
        let told = Told { code: "A0204", says: "is damaged", hint: "other runs are not touched" };
        assert_told(&project, &project.output(&[verb, &damaged]), STATE, &told);
    }
    let verified = project.output(&["verify", &damaged]);
    assert_eq!(verified.status.code(), Some(STATE));
    for part in [
        "record 2: its hash does not fit\n",
        "record 4: its hash does not fit\n",
        "bring it back from a backup",
    ] {
        assert!(both(&verified).contains(part), "`{part}` is missing: {}", both(&verified));
    }
    let all = project.output(&["verify"]);
    assert_eq!(all.status.code(), Some(STATE));
    assert_eq!(both(&all).matches("holds").count(), 1, "{}", both(&all));
    assert!(project.output(&["verify", &whole]).status.success());
    assert_eq!(project.output(&["retry", &whole]).status.code(), Some(1), "the other run goes on as before");
    assert!(project.output(&["runs"]).status.success());
}
