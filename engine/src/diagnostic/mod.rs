//! One way to tell a person what is wrong with a script: a code, a sentence, the source line with a caret
//! under the exact token, the call chain and a hint. Static checks, syntax errors and run-time errors all
//! become a [`Diagnostic`]; [`render`] draws it, serde writes it as JSON.
//!
//! - `place`: where in which source text, and how long the token there is
//! - `render`: the terminal drawing, with and without colour
//! - `script`: what Rhai reports, as diagnostics

mod place;
mod render;
mod script;

use serde::{Deserialize, Serialize};

pub use place::Place;
pub use script::{from_error, from_parse_error};

use crate::error::{CallError, Code};
use crate::runbook::Sources;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The runbook cannot run, or the run failed.
    Error,
    /// It can run; a person should look.
    Warning,
}

/// A second place that belongs to the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What about it, in a few words.
    pub text: String,
}

/// One thing that is wrong, told to the author of the script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Code with a page (`aegis explain CODE`).
    pub code: String,
    /// Error or warning.
    pub severity: Severity,
    /// One lower-case sentence with names in backticks.
    pub message: String,
    /// The token it is about; `None` for a parameter given from outside.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// Other places of the same story.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// The call chain, innermost first, and other remarks, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// One line of advice, when we know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error with a code and a sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.0.to_owned(),
            severity: Severity::Error,
            message: message.into(),
            place: None,
            labels: Vec::new(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// Makes it a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Points at a token.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Points at a second token.
    #[must_use]
    pub fn label(mut self, place: Option<Place>, text: impl Into<String>) -> Self {
        self.labels.extend(place.map(|place| Label { place, text: text.into() }));
        self
    }

    /// Adds one line below the excerpt.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds the advice, when there is some.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The drawing for a terminal: sentence, source line with a caret, notes and hint.
    #[must_use]
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        render::render(self, sources, colour)
    }
}

impl From<&CallError> for Diagnostic {
    fn from(error: &CallError) -> Self {
        let code = crate::codes::explain(&error.code).map_or(crate::codes::SCRIPT, |entry| entry.code);
        Self::new(code, error.message.clone()).hint(error.hint.clone())
    }
}

/// Everything that is wrong with a runbook, with the texts that the carets point into.
#[derive(Debug, Clone, Serialize, thiserror::Error)]
#[error("{}", summary(.diagnostics))]
pub struct Problems {
    /// In the order of the sources and of their lines.
    pub diagnostics: Vec<Diagnostic>,
    /// What the places refer to.
    #[serde(skip)]
    pub sources: Sources,
}

impl Problems {
    /// One problem about a source that could not even be read.
    #[must_use]
    pub fn of(diagnostic: Diagnostic, sources: Sources) -> Self {
        Self { diagnostics: vec![diagnostic], sources }
    }

    /// True when something keeps the runbook from running.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All drawings, one after the other.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let drawings = self.diagnostics.iter().map(|diagnostic| diagnostic.render(&self.sources, colour));
        drawings.collect::<Vec<_>>().join("\n")
    }
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [] => "nothing is wrong".to_owned(),
        [only] => only.message.clone(),
        [first, rest @ ..] => format!("{}, and {} more", first.message, rest.len()),
    }
}
