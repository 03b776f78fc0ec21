//! The report of a run: a fold over its entries. Step tree with timings, checks, measures, tables, evidence,
//! the plan's changes and its hash. Screens and files are made from it; nothing reads run internals.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::diagnostic::Diagnostic;
use crate::function::Effect;
use crate::journal::{Act, Body, Entry, Outcome, Person, Started, Status, Verdict};

/// Everything people ask about a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How it began.
    pub started: Option<Started>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When something was last recorded.
    pub updated: Option<Timestamp>,
    /// How it stands.
    pub status: Option<Status>,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// Why it failed.
    pub failure: Option<Diagnostic>,
    /// The value of the script.
    pub value: Value,
    /// Steps and calls, as a tree.
    pub tree: Vec<Node>,
    /// Checks, in the order of the script.
    pub checks: Vec<Value>,
    /// Measures.
    pub measures: Vec<Value>,
    /// Tables.
    pub tables: Vec<Value>,
    /// Evidence.
    pub evidence: Vec<Value>,
    /// Effects as they were planned or performed, in order.
    pub changes: Vec<Change>,
    /// Hash over the changes: two plans with the same hash would do the same.
    pub plan_hash: String,
}

/// A report in the making, for readers that hear of entries as they come: what calls and steps answered is not kept.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    report: Report,
    flat: Flat,
}

impl Fold {
    /// Takes the next entry in.
    pub fn learn(&mut self, entry: &Entry) {
        self.report.updated = Some(entry.at);
        self.report.status = Status::after(&entry.body).or(self.report.status);
        self.report.learn(entry);
        self.flat.learn(&entry.body);
    }

    /// The report of what came so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.tree = self.flat.below("");
        report.plan_hash = plan_hash(&report.changes);
        report
    }
}

/// A step, a parallel block or a call.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its place in the run.
    pub key: String,
    /// Step name or function.
    pub name: String,
    /// The plan's line, for calls.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The effect class, for calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// `open` (it began and has no outcome), `ok`, `failed`, `unknown`, `skipped`.
    pub state: &'static str,
    /// Attempts so far, for steps.
    pub attempts: u32,
    /// How long it took.
    pub milliseconds: Option<u64>,
    /// Why it failed, or was skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What happened inside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

/// One effect.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Its place in the run.
    pub call: String,
    /// `module::function`.
    pub function: String,
    /// What kind.
    pub effect: Effect,
    /// One line.
    pub summary: String,
    /// The live diff.
    pub diff: Option<String>,
    /// True when the world already was as the call wants it.
    pub unchanged: bool,
}

impl Report {
    /// Folds the entries of a run.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut fold = Fold::default();
        entries.iter().for_each(|entry| fold.learn(entry));
        fold.report()
    }

    fn learn(&mut self, entry: &Entry) {
        match &entry.body {
            Body::Started(started) => {
                self.started = Some(started.clone());
                self.began = Some(entry.at);
            }
            Body::Asked { call, function, effect, arguments, summary, diff, unchanged, .. } => {
                let shelf = match function.as_str() {
                    "report::check" => Some(&mut self.checks),
                    "report::measure" => Some(&mut self.measures),
                    "report::table" => Some(&mut self.tables),
                    "report::evidence" => Some(&mut self.evidence),
                    _ => None,
                };
                if let Some(shelf) = shelf {
                    shelf.push(arguments.clone());
                }
                if effect.is_effect() {
                    self.changes.push(Change {
                        call: call.clone(),
                        function: function.clone(),
                        effect: *effect,
                        summary: summary.clone(),
                        diff: diff.clone(),
                        unchanged: *unchanged,
                    });
                }
            }
            Body::Resumed { .. } => {
                self.verdict = None;
                self.failure = None;
            }
            Body::Ended { verdict, failure, value } => {
                self.verdict = Some(*verdict);
                self.failure.clone_from(failure);
                self.value = value.clone();
            }
            _ => {}
        }
    }
}

fn plan_hash(changes: &[Change]) -> String {
    let mut hash = Sha256::new();
    for change in changes {
        for part in
            [&change.call, &change.function, &change.summary, change.diff.as_ref().unwrap_or(&String::new())]
        {
            hash.update(part.as_bytes());
            hash.update([0x1f]);
        }
    }
    hex::encode(hash.finalize())[..16].to_owned()
}

/// Nodes by key, and children by the frame they stand in.
#[derive(Debug, Clone, Default)]
struct Flat {
    nodes: BTreeMap<String, Node>,
    children: BTreeMap<String, Vec<String>>,
}

impl Flat {
    fn learn(&mut self, body: &Body) {
        match body {
            Body::Asked { call, frame, function, effect, summary, .. } => {
                let node = self.node(call, frame, function);
                node.summary.clone_from(summary);
                node.effect = Some(*effect);
            }
            Body::Entered { step, frame, name, attempt, .. } => {
                let node = self.node(step, frame, name);
                node.attempts = *attempt;
                node.state = "open";
            }
            Body::Happened { call, outcome, milliseconds } => self.settle(call, outcome, *milliseconds),
            Body::Left { step, outcome, milliseconds, .. } => self.settle(step, outcome, *milliseconds),
            Body::Decided { person, act: Act::Skip { key }, note, .. } => {
                self.decided(key, "skipped", person, note)
            }
            Body::Decided { person, act: Act::MarkDone { key, .. }, note, .. } => {
                self.decided(key, "ok", person, note);
            }
            Body::Noted { note, frame, text, .. } => {
                let node = self.node(note, frame, "log");
                node.summary.clone_from(text);
                node.state = "ok";
            }
            _ => {}
        }
    }

    fn node(&mut self, key: &str, frame: &str, name: &str) -> &mut Node {
        if !self.nodes.contains_key(key) {
            self.children.entry(frame.to_owned()).or_default().push(key.to_owned());
        }
        self.nodes.entry(key.to_owned()).or_insert_with(|| Node {
            key: key.to_owned(),
            name: name.to_owned(),
            summary: String::new(),
            effect: None,
            state: "open",
            attempts: 0,
            milliseconds: None,
            why: String::new(),
            children: Vec::new(),
        })
    }

    /// What a person said came of it.
    fn decided(&mut self, key: &str, state: &'static str, person: &Person, note: &str) {
        let Some(node) = self.nodes.get_mut(key) else { return };
        let (how, note) = (if state == "ok" { "marked done" } else { "skipped" }, note.trim());
        node.state = state;
        node.why = format!("{how} by {}", person.0);
        if !note.is_empty() {
            node.why = format!("{}: {note}", node.why);
        }
    }

    fn settle(&mut self, key: &str, outcome: &Outcome, milliseconds: u64) {
        let Some(node) = self.nodes.get_mut(key) else { return };
        node.state = outcome.word();
        node.milliseconds = Some(node.milliseconds.unwrap_or(0) + milliseconds);
        node.why = match outcome {
            Outcome::Ok(_) => String::new(),
            Outcome::Failed(error) | Outcome::Unknown(error) => error.message.clone(),
            Outcome::Skipped(why) => why.clone(),
        };
    }

    /// The nodes of a frame, each with what is inside: a step's attempts and a block's branches are frames
    /// whose keys begin with the step's.
    fn below(&self, frame: &str) -> Vec<Node> {
        let keys = self.children.get(frame).into_iter().flatten();
        keys.filter_map(|key| self.nodes.get(key)).map(|node| self.with_children(node)).collect()
    }

    fn with_children(&self, node: &Node) -> Node {
        let inside = |frame: &str| {
            frame == node.key
                || frame.strip_prefix(&node.key).is_some_and(|rest| {
                    !rest.contains('/') && (rest.starts_with('@') || rest.starts_with('['))
                })
        };
        let mut frames: Vec<&String> = self.children.keys().filter(|frame| inside(frame)).collect();
        frames.sort_by_key(|frame| frame_number(frame));
        let children = frames.into_iter().flat_map(|frame| self.below(frame)).collect();
        Node { children, ..node.clone() }
    }
}

/// `…[10]` comes after `…[9]`.
fn frame_number(frame: &str) -> u64 {
    let digits = frame.trim_end_matches(']').rsplit(['[', '@']).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
