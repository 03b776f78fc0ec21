//! The engine runs one runbook durably. It knows no cloud and no cluster, prints nothing, and takes the
//! clock, the dice and every client as parameters.
//!
//! ```text
//! runbook text -> Runbook -> Run -> Call -> Journal -> Event -> Report
//! ```
//!
//! - [`runbook`]: script and header, read and checked without running; [`diagnostic`]: what is wrong with one
//! - [`function`]: a host function described once, and the registry of all of them
//! - `gate`: the one way from a script to the outside; `script`: Rhai around it
//! - [`journal`]: what was asked and what happened; [`run`]: executing, resuming, undoing
//! - [`builtin`]: the host modules about the run itself
//! - [`report`]: a fold over a run's entries
//! - [`files`]: reading what comes from outside
//! - [`secret`]: secrets and the redactor; [`codes`]: the error codes an operator can meet

pub mod builtin;
pub mod clock;
pub mod codes;
pub mod diagnostic;
pub mod error;
pub mod files;
pub mod function;
mod gate;
pub mod journal;
pub mod report;
pub mod run;
pub mod runbook;
mod script;
pub mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod units;

pub use error::{CallError, Code};
pub use secret::Secret;
pub use units::Period;

/// Version of aegis, as journals name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
