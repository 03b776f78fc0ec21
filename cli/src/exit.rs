//! Exit codes: one table, which `aegis --help` shows.

use std::process::ExitCode;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::journal::Verdict;
use aegis_engine::run::{Conclusion, Stop};

/// The table for people.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    it worked
  1    the run failed
  2    the command line, the script or a parameter is wrong
  3    a rule refuses it: capability, protected target, halt, window or freeze, or a person declined
  4    the run waits for a person
  5    something outside cannot be reached, does not accept the credentials, or is not installed
  6    the state directory or a journal cannot be used
  7    checks failed
  130  the run was cancelled";

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Ok = 0,
    /// The run failed.
    Failed = 1,
    /// The command line, the script or a parameter is wrong.
    Usage = 2,
    /// A rule refuses it: capability, protected target, halt.
    Refused = 3,
    /// The run waits for a person.
    Waiting = 4,
    /// Something outside cannot be reached, or does not accept the credentials.
    Outside = 5,
    /// The state directory or a journal cannot be used.
    State = 6,
    /// Checks failed.
    Checks = 7,
    /// The run was cancelled (as after SIGINT).
    Cancelled = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// By the code of an error.
    pub(crate) fn of(code: &str) -> Self {
        let is = |known: &[aegis_engine::Code]| known.iter().any(|known| known.0 == code);
        if is(&[
            codes::CAPABILITY,
            codes::PROTECTED,
            codes::DECLINED,
            codes::HALTED,
            codes::WINDOW,
            codes::APPROVAL,
        ]) {
            Self::Refused
        } else if is(&[codes::WAITING, codes::UNKNOWN]) {
            Self::Waiting
        } else if is(&[
            codes::UNREACHABLE,
            codes::UNAUTHENTICATED,
            codes::FORBIDDEN,
            codes::TLS,
            codes::TARGET,
            codes::TOOL_MISSING,
            codes::TOOL_VERSION,
        ]) {
            Self::Outside
        } else if is(&[codes::CHECKS]) {
            Self::Checks
        } else if is(&[codes::CANCELLED]) {
            Self::Cancelled
        } else if code.starts_with("A00")
            || is(&[codes::CONFIG, codes::NO_TARGET, codes::ARGUMENT, codes::NO_RUN, codes::NOT_POSSIBLE])
        {
            Self::Usage
        } else if code.starts_with("A02") {
            Self::State
        } else {
            Self::Failed
        }
    }

    /// By how a run ended, or why it stands.
    pub(crate) fn of_run(conclusion: &Conclusion) -> Self {
        match (&conclusion.verdict, &conclusion.stop, &conclusion.failure) {
            (Some(Verdict::Succeeded), ..) => Self::Ok,
            (Some(Verdict::Cancelled), ..) | (None, Some(Stop::Cancelled | Stop::Abandoned), _) => {
                Self::Cancelled
            }
            (Some(Verdict::Failed), _, Some(failure)) => match Self::of(&failure.code) {
                // The script began, so a failure inside it is the run's, unless it says something about the outside.
                Self::Usage => Self::Failed,
                other => other,
            },
            (Some(Verdict::Failed), _, None) => Self::Failed,
            (None, Some(stop), _) => Self::of(&stop.error().code),
            (None, None, _) => Self::Failed,
        }
    }
}

impl From<&CallError> for Exit {
    fn from(error: &CallError) -> Self {
        Self::of(&error.code)
    }
}
