//! The kill -9 campaign: a 60-call runbook with reads, changes, once-effects, steps and parallel branches is
//! killed at the arrival of every request, before and after it is counted, and at 500 random moments. After
//! each kill the run is driven to its end as an on-call engineer would, and the server's counts decide.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;

use crate::process::Project;
use crate::server::Server;

/// Random kills over all threads.
const RANDOM_KILLS: usize = 500;

/// Kills side by side: the machine's cores.
const THREADS: usize = 2;

/// 60 calls: 20 reads, 20 changes (PUT), 20 once-effects (POST).
pub(crate) fn runbook(server: &Server) -> String {
    let base = format!("http://{}", server.address);
    format!(
        r#"
runbook(#{{ title: "Campaign", needs: ["http:change:{base}/*"] }});
let base = "{base}";
fn trio(base, name) {{
    http::get(`${{base}}/read/${{name}}`);
    http::send("PUT", `${{base}}/put/${{name}}`, #{{ body: name }});
    http::send("POST", `${{base}}/post/${{name}}`, #{{ body: name }});
}}
for n in 0..5 {{ trio(base, `top-${{n}}`); }}
step("one", || {{
    for n in 0..4 {{ trio(base, `one-${{n}}`); }}
    step("inner", || trio(base, "inner"));
}});
parallel([0, 1, 2], #{{ max: 3 }}, |branch| {{
    step("branch", || {{ for n in 0..2 {{ trio(base, `branch-${{branch}}-${{n}}`); }} }});
}});
step("last", || {{ for n in 0..4 {{ trio(base, `last-${{n}}`); }} }});
"done"
"#
    )
}

/// What the campaign counted.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) kills: usize,
    repeated: usize,
    lost: usize,
    asked: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.repeated += other.repeated;
        self.lost += other.lost;
        self.asked += other.asked;
    }
}

fn kill(child: &mut Child) {
    // SIGKILL: nothing of the process gets to run.
    let _ = child.kill();
    let _ = child.wait();
}

/// Resumes until the run has ended. A call that nobody can tell about is looked up at the server: done ones
/// are marked, the others tried again.
pub(crate) fn drive(project: &Project, server: &Server, tally: &mut Tally) {
    for _ in 0..10 {
        let runs = project.output(&["runs", "--output", "json"]);
        let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
        let resumed = if runs.as_array().is_none_or(Vec::is_empty) {
            // Killed before the start was journaled: nothing can have happened.
            assert_eq!(server.effects().len(), 0);
            project.output(&["run", "book.rhai"])
        } else {
            project.output(&["resume", "last"])
        };
        match resumed.status.code() {
            Some(0) => return,
            Some(4) => {
                tally.asked += 1;
                decide(project, server);
            }
            // It had reached its end: before it was killed, or by the retry.
            Some(_) if project.show()["report"]["status"] == "succeeded" => return,
            other => panic!("{other:?}\n{}", String::from_utf8_lossy(&resumed.stderr)),
        }
    }
    panic!("no end after ten resumes");
}

fn decide(project: &Project, server: &Server) {
    let logs = project.output(&["logs", "last", "--output", "json"]);
    let entries: Vec<Value> = String::from_utf8_lossy(&logs.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .flat_map(|value: Value| value.as_array().cloned().unwrap_or_else(|| vec![value]))
        .collect();
    let mut settled = BTreeSet::new();
    let mut decided = false;
    for entry in entries.iter().rev() {
        let call = entry["call"].as_str().unwrap_or_default().to_owned();
        let happened = entry["kind"] == "happened";
        if entry["kind"] == "decided" {
            settled.insert(entry["act"]["key"].as_str().unwrap_or_default().to_owned());
        }
        // The newest word about a call counts; it may have been unknown before.
        if !happened || !settled.insert(call.clone()) || entry["outcome"].get("unknown").is_none() {
            continue;
        }
        let asked = entries.iter().find(|e| e["kind"] == "asked" && e["call"] == entry["call"]).unwrap();
        let url = asked["arguments"]["url"].as_str().unwrap();
        let path = url.split_once(&server.address.to_string()).unwrap().1;
        decided = true;
        if server.count(&format!("POST {path}")) > 0 {
            let marked = project.output(&[
                "mark-done",
                "last",
                &call,
                "--note",
                "the server has it",
                "--evidence",
                "its log",
            ]);
            assert!(marked.status.success(), "{}", String::from_utf8_lossy(&marked.stderr));
        }
    }
    assert!(decided, "the run waits, but for nothing unknown");
    // Whatever is still unknown did not happen: performing it is right. Exit 3 or 4: it waits for the next one.
    let _ = project.output(&["retry", "last"]);
}

pub(crate) fn judge(server: &Server, tally: &mut Tally) {
    let effects = server.effects();
    tally.kills += 1;
    tally.repeated += effects.iter().filter(|(what, n)| what.starts_with("POST") && **n > 1).count();
    tally.lost += 40_usize.saturating_sub(effects.len());
    assert_eq!((tally.repeated, tally.lost), (0, 0), "{effects:?}");
}

/// Kills the run when the given request is told, counted or not.
fn killed_at(arrival: usize) -> Option<Tally> {
    let (server, mut arrivals) = Server::steered();
    let project = Project::new(&runbook(&server));
    let mut child = project.start(&["run", "book.rhai"]);
    for number in 0.. {
        let arrived = server.block_on(async {
            tokio::time::timeout(Duration::from_secs(60), arrivals.recv()).await.ok().flatten()
        });
        let Some(arrived) = arrived else {
            kill(&mut child);
            return None;
        };
        if number == arrival {
            kill(&mut child);
            drop(arrived.go_on);
            break;
        }
        let last = arrived.counted && number >= 2 * 60 - 1;
        let _ = arrived.go_on.send(());
        if last {
            kill(&mut child);
            return None;
        }
    }
    // From here on every request is let through.
    arrivals.close();
    while let Ok(arrived) = arrivals.try_recv() {
        let _ = arrived.go_on.send(());
    }
    let mut tally = Tally::default();
    drive(&project, &server, &mut tally);
    judge(&server, &mut tally);
    Some(tally)
}

#[test]
fn killed_at_every_request_nothing_is_repeated_or_lost() {
    let mut total = Tally::default();
    for arrival in 0..2 * 60 {
        if let Some(tally) = killed_at(arrival) {
            total.add(&tally);
        }
    }
    println!("killed at every request: {total:?}");
    assert!(total.kills >= 118, "{total:?}");
}

fn killed_after(wait: Duration) -> Tally {
    let server = Server::start();
    let project = Project::new(&runbook(&server));
    let mut child = project.start(&["run", "book.rhai"]);
    let until = Instant::now() + wait;
    while Instant::now() < until && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    kill(&mut child);
    let mut tally = Tally::default();
    drive(&project, &server, &mut tally);
    judge(&server, &mut tally);
    tally
}

/// How long the whole run takes here: random moments are drawn from it.
fn whole_run() -> Duration {
    let server = Server::start();
    let project = Project::new(&runbook(&server));
    let began = Instant::now();
    let output = project.output(&["run", "book.rhai"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.effects().len(), 40);
    began.elapsed()
}

#[test]
fn killed_at_random_moments_nothing_is_repeated_or_lost() {
    let whole = whole_run();
    let campaign = || {
        let mut total = Tally::default();
        for _ in 0..RANDOM_KILLS / THREADS {
            let share = rand::rng().random_range(0.0..1.1);
            total.add(&killed_after(whole.mul_f64(share)));
        }
        total
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(campaign)).collect();
        threads.into_iter().for_each(|thread| total.add(&thread.join().unwrap()));
    });
    println!("killed at random moments of a run of {whole:?}: {total:?}");
    assert!(total.kills >= RANDOM_KILLS, "{total:?}");
}
