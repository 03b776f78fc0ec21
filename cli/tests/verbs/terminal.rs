//! What a person at a terminal sees and types: the binary runs in a pseudo-terminal (of `script`, which every
//! Linux has) and a terminal emulator reads its screen.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::project::Project;

/// Longer than any wait of these tests on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of the screen: enough that nothing scrolls away.
const ROWS: u16 = 120;

/// Whether a spinner stands on the screen: they are drawn with Braille patterns.
fn turns(shown: &str) -> bool {
    shown.contains(|sign| ('\u{2800}'..='\u{28ff}').contains(&sign))
}

/// A terminal in which the binary runs.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    fn open(project: &Project, columns: u16, arguments: &[&str]) -> Self {
        Self::with(project, columns, "", arguments)
    }

    fn with(project: &Project, columns: u16, variables: &str, arguments: &[&str]) -> Self {
        let quoted: Vec<String> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
        let line = format!(
            "stty cols {columns} rows {ROWS}; exec env TERM=xterm {variables} '{}' {}",
            env!("CARGO_BIN_EXE_aegis"),
            quoted.join(" ")
        );
        let mut command = project.command(&[]);
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env_clear().env("SHELL", "/bin/sh");
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.current_dir(project.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            script.stderr(Stdio::null()).spawn().expect("these tests need `script` of util-linux");
        command.stdin(Stdio::null());
        let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut buffer) {
                let _ = sender.send(buffer[..read].to_vec());
            }
        });
        Self { child, keys, output, screen: vt100::Parser::new(ROWS, columns, 0), raw: Vec::new() }
    }

    fn shown(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen says something.
    #[track_caller]
    fn until(&mut self, says: &str) {
        while !self.shown().contains(says) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => panic!("`{says}` is never shown:\n{}", self.shown()),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.raw.extend_from_slice(bytes);
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the end: the exit code, and everything that stands on the screen.
    fn end(mut self) -> (i32, String, Vec<u8>) {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.take(&bytes);
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, self.shown(), self.raw)
    }
}

/// Makes something whose undo takes as long as a person lets it.
const SLOW_TO_UNDO: &str = "
runbook(#{ title: \"Slow to undo\", needs: [\"exec:run\"] });
fn back(name) { exec::run(\"rm\", [name]); exec::run(\"sleep\", [\"600\"]); }
step(\"make\", #{ undo: #{ function: \"back\", arguments: [\"made\"] } }, || exec::run(\"touch\", [\"made\"]));
step(\"wait\", || time::sleep(\"600s\"));
";

#[test]
fn ctrl_c_cancels_and_a_second_one_leaves_the_run_to_be_resumed() {
    let project = Project::new(&[("runbooks/a.rhai", SLOW_TO_UNDO)]);
    let mut terminal = Terminal::open(&project, 100, &["run", "runbooks/a.rhai"]);
    terminal.until("  wait");
    terminal.press("\u{3}");
    terminal.until("cancelling: what was done is undone; Ctrl-C again leaves the run as it is");
    terminal.until("run `sleep 600`");
    assert!(!project.path("made").exists());
    terminal.press("\u{3}");
    let (code, shown, _) = terminal.end();
    assert_eq!(code, 130, "{shown}");
    assert!(!turns(&shown), "nothing that has ended goes on turning:\n{shown}");
    // The function had begun to take it back: that is finished first.
    assert!(shown.contains("next: aegis undo a-"), "{shown}");
    let runs = project.aegis(&["runs"]).ended(0).out;
    assert!(runs.contains("  interrupted  "), "{runs}");
    let show = project.aegis(&["show"]).ended(0).out;
    assert!(show.contains("interrupted: no process runs it (next: aegis undo a-"), "{show}");
    assert!(show.contains("open    wait"), "{show}");
}

#[test]
fn a_person_is_asked_before_each_effect_and_sees_its_diff() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "runbook(#{ title: \"A\", needs: [\"k8s:change\"] });
for name in [\"one\", \"two\", \"three\"] {
    k8s::apply(#{ apiVersion: \"v1\", kind: \"ConfigMap\", metadata: #{ name: name }, data: #{ a: \"b\" } });
}
",
    )]);
    let mut terminal = Terminal::open(&project, 100, &["run", "--step", "runbooks/a.rhai"]);
    terminal.until("[d/s/x]");
    assert!(terminal.shown().contains("+  a: b"), "the diff is shown:\n{}", terminal.shown());
    terminal.press("d\n");
    terminal.until("apply configmap/two");
    terminal.press("s\n");
    terminal.until("why is it skipped?");
    terminal.press("made by hand\n");
    terminal.until("apply configmap/three");
    terminal.press("x\n");
    let (code, shown, _) = terminal.end();
    assert_eq!(code, 3, "{shown}");
    for line in
        ["ok apply configmap/one", "skipped apply configmap/two", ": made by hand", "next: aegis resume a-"]
    {
        assert!(shown.contains(line), "`{line}` is missing:\n{shown}");
    }
    let mut again = Terminal::open(&project, 100, &["resume", "last", "--step"]);
    again.until("[d/s/x]");
    again.press("\u{3}");
    let (code, shown, _) = again.end();
    assert_eq!(code, 130, "nobody has to answer a run that is cancelled:\n{shown}");
}

#[test]
fn a_protected_target_goes_on_when_its_name_is_typed() {
    let project = Project::new(&[
        ("runbooks/a.rhai", "runbook(#{ title: \"A\" });\nlog(\"went\");\n"),
        ("aegis.toml", "[targets.prod]\nprotected = true\n"),
    ]);
    for (typed, code) in [("prod\n", 0), ("yes\n", 3)] {
        let mut terminal = Terminal::open(&project, 100, &["run", "runbooks/a.rhai", "--target", "prod"]);
        terminal.until("type its name to go on:");
        terminal.press(typed);
        let (ended, shown, _) = terminal.end();
        assert_eq!(ended, code, "{shown}");
        assert_eq!(shown.contains("went"), code == 0, "{shown}");
    }
}

/// Branches with long names that all are under way at once.
const BRANCHES: &str = "
runbook(#{ title: \"Many\", needs: [\"exec:run\"] });
parallel([1, 2, 3, 11], |number| {
    step(`branch ${number} has a name that no narrow terminal has room for`, || {
        time::sleep(if number == 11 { \"600s\" } else { \"1ms\" });
        time::sleep(\"600s\");
    });
});
";

#[test]
fn what_is_under_way_has_one_line_below_what_it_is_part_of_however_narrow_the_terminal() {
    let project = Project::new(&[("runbooks/a.rhai", BRANCHES)]);
    let mut terminal = Terminal::open(&project, 30, &["run", "runbooks/a.rhai"]);
    while terminal.shown().matches("time::sleep").count() < 4
        || terminal.shown().matches("branch").count() < 4
    {
        terminal.until("time::sleep");
        let bytes = terminal.output.recv_timeout(PATIENCE).unwrap();
        terminal.take(&bytes);
    }
    let shown = terminal.shown();
    terminal.press("\u{3}");
    let (code, left, _) = terminal.end();
    assert_eq!((code, turns(&left)), (130, false), "{left}");
    let lines: Vec<&str> = shown.lines().skip_while(|line| !line.contains("parallel")).collect();
    for (index, line) in lines.iter().enumerate().skip(1) {
        let word = if index % 2 == 1 { "branch" } else { "time::sleep" };
        assert!(line.contains(word), "line {index} is no `{word}`:\n{shown}");
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let project = Project::new(&[("runbooks/a.rhai", "runbook(#{ title: \"A\" });\nstep(\"s\", || 1);\n")]);
    let painted = |variables: &str, arguments: &[&str]| {
        let (code, shown, raw) = Terminal::with(&project, 80, variables, arguments).end();
        assert_eq!((code, shown.contains("ok s (")), (0, true), "{shown}");
        raw.windows(5).any(|bytes| bytes == b"\x1b[32m")
    };
    let run = ["run", "runbooks/a.rhai"];
    assert!(painted("", &run));
    assert!(painted("NO_COLOR=", &run), "an empty NO_COLOR says nothing");
    assert!(!painted("NO_COLOR=1", &run));
    assert!(!painted("", &["run", "runbooks/a.rhai", "--color", "never"]));
    assert!(painted("NO_COLOR=1", &["run", "runbooks/a.rhai", "--color", "always"]));
}
