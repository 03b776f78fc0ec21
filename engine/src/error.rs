//! The error of one call: a code with a page, a sentence, a hint, and whether the world may have changed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An operator-facing error code. `aegis explain A0301` prints its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub &'static str);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a call did not answer.
///
/// `message` is one lower-case sentence with names in backticks; causes are appended by [`CallError::because`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// Code with a page.
    pub code: String,
    /// The sentence.
    pub message: String,
    /// One line of advice, when we know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The same call may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// Nobody can say whether the effect happened (the connection broke after the request was sent).
    #[serde(default)]
    pub unknown: bool,
    /// How long the other side asked us to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// A failure with a code and a sentence.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.0.to_owned(),
            message: message.into(),
            hint: None,
            retryable: false,
            unknown: false,
            retry_after: None,
        }
    }

    /// Wrong arguments.
    #[must_use]
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(crate::codes::ARGUMENT, message)
    }

    /// Adds one line of advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Appends a cause to the sentence: `cannot reach `x`: connection refused`.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.message = format!("{}: {}", self.message, crate::text::one_sentence(&cause.to_string()));
        self
    }

    /// Marks the failure as one that may pass.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Marks the outcome as unknown: the effect may have happened.
    #[must_use]
    pub fn unknown(mut self) -> Self {
        self.unknown = true;
        self
    }

    /// The other side said how long to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self.retryable()
    }
}
