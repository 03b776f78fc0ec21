//! The header of a runbook, read from the parsed script without running it: `runbook(#{ ... })` with literal
//! values only. Unknown keys, wrong types and wrong values are all reported at once.

use std::collections::BTreeMap;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::literal::{Literal, Shape};
use super::notify::Notify;
use super::parameter::ParameterSpec;
use super::written::{self, Written};
use super::{Builtin, Capability, Sources};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::function::{Parameter, kind_of};
use crate::text::{did_you_mean, list};
use crate::units::Period;

/// How much can go wrong. High risk on a protected target needs an approval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Nobody would notice.
    Low,
    /// The default.
    #[default]
    Medium,
    /// An outage is possible.
    High,
}

impl Risk {
    /// The word as it stands in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What happens to the effects of a run that fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// They stay; the run can be resumed.
    #[default]
    Stop,
    /// They are undone, newest first.
    Undo,
}

/// What happens to a run that is under way when the maintenance window it began in closes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AtWindowEnd {
    /// It is warned, and goes on.
    #[default]
    Continue,
    /// It is left where it stands and can be resumed in the next window.
    Leave,
    /// It is cancelled: what was done is undone.
    Cancel,
}

/// What a runbook says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// One line.
    pub title: String,
    /// A paragraph for the reader, when the title is not enough.
    pub description: String,
    /// Team or person who answers for it.
    pub owner: String,
    /// How much can go wrong.
    pub risk: Risk,
    /// What it may do.
    pub needs: Vec<Capability>,
    /// The longest the whole run may take.
    pub timeout: Option<Period>,
    /// Recovery times and other objectives that reports compare with: `rto`, `rpo`, ...
    pub objectives: BTreeMap<String, Period>,
    /// True for exercises: whatever is not undone at the end makes the run red.
    pub drill: bool,
    /// What happens to effects when the run fails.
    pub on_failure: OnFailure,
    /// What happens when its maintenance window closes.
    pub at_window_end: AtWindowEnd,
    /// Who hears what of its runs.
    #[serde(skip_serializing_if = "Notify::is_empty")]
    pub notify: Notify,
    /// When it runs by itself, as written: the scheduler reads it.
    #[serde(skip)]
    pub schedule: Option<Written>,
    /// Parameters by name.
    pub params: BTreeMap<String, ParameterSpec>,
}

/// A header to start from, shown where there is none.
const EXAMPLE: &str = "start the file with `runbook(#{ title: \"What it does\", needs: [] });`";

/// Reads the header of a parsed main script, with everything that is wrong about it.
pub(super) fn read(script: &AST, source: &str, sources: &Sources) -> (Option<Header>, Vec<Diagnostic>) {
    let mut reader = Reader { source, sources, problems: Vec::new() };
    let calls = calls(script);
    let header = match calls.as_slice() {
        [] => {
            let start = sources.place(source, Position::new(1, 1));
            reader.problems.push(
                Diagnostic::new(codes::HEADER, "the runbook has no header")
                    .at(start)
                    .hint(EXAMPLE.to_owned()),
            );
            None
        }
        [(call, _)] => reader.argument(call).map(|literal| reader.header(&literal)),
        [_, (_, second), ..] => {
            reader.refuse(*second, "a runbook has one header; this is the second", None);
            None
        }
    };
    (header, reader.problems)
}

/// Every call of `runbook` at the top level.
fn calls(script: &AST) -> Vec<(FnCallExpr, Position)> {
    let mut found = Vec::new();
    script.clone_statements_only().walk(&mut |path| {
        let call = match path {
            [ASTNode::Stmt(Stmt::FnCall(call, position))] => Some((call, position)),
            [ASTNode::Stmt(Stmt::Expr(_)), ASTNode::Expr(Expr::FnCall(call, position))] => {
                Some((call, position))
            }
            _ => None,
        };
        if let Some((call, position)) =
            call.filter(|(call, _)| call.name == "runbook" && !call.is_qualified())
        {
            found.push(((**call).clone(), *position));
        }
        true
    });
    found
}

/// Turns literals into a header, and collects what does not fit.
pub(super) struct Reader<'a> {
    source: &'a str,
    sources: &'a Sources,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn argument(&mut self, call: &FnCallExpr) -> Option<Literal> {
        match Literal::of(call.args.first()?) {
            Ok(literal) => Some(literal),
            Err(position) => {
                let hint = "the header is read before anything runs; compute values in the script";
                self.refuse(position, "the header takes literal values only", Some(hint.to_owned()));
                None
            }
        }
    }

    fn header(&mut self, literal: &Literal) -> Header {
        let mut header = Header::default();
        let mut untitled = true;
        for (key, position, value) in self.entries(literal, "the header") {
            match key.as_str() {
                "title" => {
                    let title = self.string(value);
                    untitled = title.as_ref().is_some_and(String::is_empty);
                    header.title = title.unwrap_or_default();
                }
                "description" => header.description = self.text(value),
                "owner" => header.owner = self.text(value),
                "risk" => header.risk = self.choice(value, &["low", "medium", "high"]),
                "needs" => header.needs = self.needs(value),
                "timeout" => header.timeout = self.period(value),
                "objectives" => header.objectives = self.objectives(value),
                "drill" => header.drill = self.boolean(value),
                "on_failure" => header.on_failure = self.choice(value, &["stop", "undo"]),
                "at_window_end" => {
                    header.at_window_end = self.choice(value, &["continue", "leave", "cancel"]);
                }
                "notify" => header.notify = self.notify(value),
                "schedule" => header.schedule = Some(self.written(value)),
                "params" => header.params = self.params(value),
                _ => {
                    let keys = &Builtin::options_of("runbook").parameters;
                    self.unknown(key, *position, "the header", keys);
                }
            }
        }
        if untitled {
            self.refuse(
                literal.position,
                "the header has no `title`",
                Some("say in one line what the runbook does".to_owned()),
            );
        }
        header
    }

    fn notify(&mut self, literal: &Literal) -> Notify {
        Notify::read(&self.written(literal)).unwrap_or_else(|(place, message, hint)| {
            self.problems.push(Diagnostic::new(codes::HEADER, message).at(place).hint(hint));
            Notify::default()
        })
    }

    /// The literal with the places of all its parts.
    fn written(&self, literal: &Literal) -> Written {
        let shape = match &literal.shape {
            Shape::Scalar(value) => written::Shape::Scalar(value.clone()),
            Shape::List(items) => written::Shape::List(items.iter().map(|item| self.written(item)).collect()),
            Shape::Map(entries) => written::Shape::Map(
                entries
                    .iter()
                    .map(|(key, position, value)| (key.clone(), self.place(*position), self.written(value)))
                    .collect(),
            ),
        };
        Written { place: self.place(literal.position), shape }
    }

    fn needs(&mut self, literal: &Literal) -> Vec<Capability> {
        let mut needs = Vec::new();
        for item in self.items(literal) {
            let Some(text) = self.string(item) else { continue };
            match text.parse() {
                Ok(capability) => needs.push(capability),
                Err(message) => self.refuse(item.position, message, None),
            }
        }
        needs
    }

    fn objectives(&mut self, literal: &Literal) -> BTreeMap<String, Period> {
        let mut objectives = BTreeMap::new();
        for (key, _, value) in self.entries(literal, "`objectives`") {
            objectives.extend(self.period(value).map(|period| (key.clone(), period)));
        }
        objectives
    }

    fn params(&mut self, literal: &Literal) -> BTreeMap<String, ParameterSpec> {
        let mut params = BTreeMap::new();
        for (name, _, value) in self.entries(literal, "`params`") {
            let spec = ParameterSpec::read(self, name, value);
            params.insert(name.clone(), spec);
        }
        params
    }

    pub(super) fn entries<'l>(
        &mut self,
        literal: &'l Literal,
        what: &str,
    ) -> &'l [(String, Position, Literal)] {
        if let Shape::Map(entries) = &literal.shape {
            return entries;
        }
        self.mistyped(literal, &format!("{what} must be a map `#{{ ... }}`"));
        &[]
    }

    pub(super) fn items<'l>(&mut self, literal: &'l Literal) -> &'l [Literal] {
        if let Shape::List(items) = &literal.shape {
            return items;
        }
        self.mistyped(literal, "expected an array");
        &[]
    }

    pub(super) fn text(&mut self, literal: &Literal) -> String {
        self.string(literal).unwrap_or_default()
    }

    /// The text; `None`, which is told, when it is something else.
    pub(super) fn string(&mut self, literal: &Literal) -> Option<String> {
        match literal.value() {
            serde_json::Value::String(text) => Some(text),
            _ => {
                self.mistyped(literal, "expected a string");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, literal: &Literal) -> bool {
        literal.value().as_bool().unwrap_or_else(|| {
            self.mistyped(literal, "expected `true` or `false`");
            false
        })
    }

    fn period(&mut self, literal: &Literal) -> Option<Period> {
        match serde_json::from_value(literal.value()) {
            Ok(period) => Some(period),
            Err(_) => {
                self.mistyped(literal, "expected a duration like `30s`, `5m` or `1h 30m`");
                None
            }
        }
    }

    pub(super) fn choice<T: serde::de::DeserializeOwned + Default>(
        &mut self,
        literal: &Literal,
        words: &[&str],
    ) -> T {
        serde_json::from_value(literal.value()).unwrap_or_else(|_| {
            let given = literal.value();
            let hint = given.as_str().and_then(|word| did_you_mean(word, words.iter().copied()));
            self.refuse(literal.position, format!("expected {}", either(words)), hint);
            T::default()
        })
    }

    pub(super) fn unknown(&mut self, key: &str, position: Position, place: &str, known: &[Parameter]) {
        let known: Vec<&str> = known.iter().map(|key| key.name.as_str()).collect();
        let hint =
            did_you_mean(key, known.iter().copied()).unwrap_or_else(|| format!("keys are {}", list(&known)));
        self.refuse(position, format!("{place} has no key `{key}`"), Some(hint));
    }

    fn mistyped(&mut self, literal: &Literal, wanted: &str) {
        let message = format!("{wanted}, not {}", kind_of(&literal.value()));
        self.refuse(literal.position, message, None);
    }

    pub(super) fn place(&self, position: Position) -> Option<crate::diagnostic::Place> {
        self.sources.place(self.source, position)
    }

    pub(super) fn refuse(&mut self, position: Position, message: impl Into<String>, hint: Option<String>) {
        let place = self.place(position);
        self.problems.push(Diagnostic::new(codes::HEADER, message).at(place).hint(hint));
    }
}

/// `` `low`, `medium` or `high` ``.
pub(super) fn either(words: &[&str]) -> String {
    let listed = list(words);
    listed.rfind(" and ").map_or(listed.clone(), |at| format!("{} or {}", &listed[..at], &listed[at + 5..]))
}
